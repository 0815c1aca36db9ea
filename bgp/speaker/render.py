"""render: SpeakerConfig -> configuration text of ExaBGP 5.0.15. PURE.

Equal intent gives equal bytes: peers are sorted, nothing depends on time. Every inserted word
must match a narrow grammar, so that no name or path can end a statement; passwords go in as
base64 only (quotes and `#` in a plain one break ExaBGP's tokeniser, and it prints the lines it
cannot read).

Networks are not in this text but are announced through the API when a session comes up, with
`manual-eor` so that End-of-RIB follows them: ExaBGP drops every reload while any peer has
routes queued, and a peer that cannot be reached has them queued for ever (ADR 0030).

Grammar: exabgp/configuration/neighbor/__init__.py.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bgp.ends import without_zone
from bgp.nlri import IPV4, IPV6, IPAddress
from bgp.peer import PeerError, PeerSettings
from bgp.peer_rules import DEFAULT_PORT, MAX_TTL
from bgp.speaker_config import SpeakerConfig

API_PROCESS = "agent"

_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_PATH = re.compile(r"/[A-Za-z0-9_.,:+@%=/-]*")


def render(config: SpeakerConfig, relay_command: tuple[PurePosixPath | str, ...]) -> str:
    """Write the configuration. `relay_command` is what ExaBGP starts as its helper.

    Raises PeerError when a word of the relay command is not a plain path or option.
    """
    run = " ".join(_word(str(part)) for part in relay_command)
    parts = [
        f"process {API_PROCESS} {{\n    run {run};\n    encoder json;\n    respawn false;\n}}\n"
    ]
    parts += [
        _peer(config, peer)
        for peer in sorted(
            config.running, key=lambda p: (p.address.version, int(p.address), p.interface or "")
        )
    ]
    return "\n".join(parts)


def _peer(config: SpeakerConfig, peer: PeerSettings) -> str:
    lines = [
        f"neighbor {_address(without_zone(peer.address))} {{",
        f"    router-id {_address(config.router_id)};",
        f"    local-address {_address(peer.local_address) if peer.local_address else 'auto'};",
        f"    local-as {peer.local_asn};",
        f"    peer-as {'auto' if peer.remote_asn is None else peer.remote_asn};",
        f"    hold-time {peer.hold_time_s};",
        # For our launcher (bgp/speaker/launcher/dialling.py).
        f"    description retry-{peer.connect_retry_s};",
        "    adj-rib-in false;",
        "    manual-eor true;",
    ]
    if peer.link is not None:
        # A plain word: PeerSettings has checked it.
        lines.append(f"    source-interface {peer.link};")
    if peer.passive:
        lines += ["    passive true;", f"    listen {peer.port};"]
    elif peer.port != DEFAULT_PORT:
        lines.append(f"    connect {peer.port};")
    if peer.multihop_ttl is not None:
        lines.append(f"    outgoing-ttl {peer.multihop_ttl};")
    if peer.ttl_security_hops is not None:
        # What we send then has TTL 255 (exabgp/reactor/network/tcp.py, sending_ttl).
        lines.append(f"    incoming-ttl {MAX_TTL + 1 - peer.ttl_security_hops};")
    if peer.password is not None:
        word = peer.password.base64()
        if not _BASE64.fullmatch(word):
            raise PeerError(peer.name, "password", "not base64")
        lines += [f"    md5-password {word};", "    md5-base64 true;"]
    families = "".join(f" ipv{family} unicast;" for family in sorted(peer.families))
    restart = f" graceful-restart {peer.graceful_restart_s};" if peer.graceful_restart_s else ""
    # RFC 8950; only what the link has is an IPv6 address, so IPv4 routes need one, too.
    extended = peer.address.version == IPV6 and IPV4 in peer.families
    nexthop = " nexthop enable;" if extended else ""
    lines += [
        f"    family {{{families} }}",
        *(["    nexthop { ipv4 unicast ipv6; }"] if extended else []),
        f"    capability {{ route-refresh enable;{restart}{nexthop} }}",
        "    api {",
        f"        processes [ {API_PROCESS} ];",
        "        neighbor-changes;",
        "        receive { parsed; open; update; notification; refresh; }",
        "        send { parsed; open; update; notification; }",
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _address(address: IPAddress) -> str:
    # An `ipaddress` object without a zone prints hexadecimal digits, dots and colons.
    return str(address)


def _word(word: str) -> str:
    if not (_PATH.fullmatch(word) or re.fullmatch(r"-[A-Za-z]+", word)):
        raise PeerError("", "relay command", f"{word!r} is not a plain path or option")
    return word
