"""What can be wrong with one peer. PURE."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from bgp.ending import is_shutdown_text
from bgp.nlri import IPV4, IPV6, IPAddress

if TYPE_CHECKING:
    from bgp.peer import PeerSettings

MAX_ASN = 2**32 - 1
MIN_HOLD_TIME_S = 3
MAX_HOLD_TIME_S = 65535
MAX_RESTART_TIME_S = 4095
"""Twelve bits on the wire (RFC 4724 section 3); ExaBGP truncates silently what is larger."""
MAX_CONNECT_RETRY_S = 60
"""ExaBGP never waits longer."""
MAX_PORT = 65535
DEFAULT_PORT = 179
MAX_TTL = 255
LOWEST_FREE_PORT = 1024
"""Below it, listening takes CAP_NET_BIND_SERVICE."""
MAX_OWN_ASNS = 10
"""How often at most our own AS may stand in a path, if asked for."""
INTERFACE_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,14}")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:%-]{0,62}")

Rule = tuple[str, bool, str]
"""A field, whether it is wrong, and why in words."""


def rules(peer: PeerSettings) -> tuple[Rule, ...]:
    """Give all rules; none of a good peer is broken."""
    local = peer.local_address
    hold = peer.hold_time_s
    return (
        ("name", not NAME_PATTERN.fullmatch(peer.name), "letters, digits and _.:%- only"),
        ("address", _unusable(peer.address), "not an address of one host"),
        (
            "address",
            peer.address.is_link_local and not peer.interface,
            "a link-local address alone names no peer; give its interface",
        ),
        (
            "interface",
            bool(peer.interface) and not INTERFACE_PATTERN.fullmatch(peer.interface or ""),
            "not the name of an interface",
        ),
        (
            "local_address",
            bool(peer.interface) and not (local is not None and local.is_link_local),
            "a peer by interface needs our link-local address",
        ),
        (
            "remote_asn",
            peer.remote_asn is not None and not 1 <= peer.remote_asn <= MAX_ASN,
            f"not in 1..{MAX_ASN}",
        ),
        ("local_asn", not 1 <= peer.local_asn <= MAX_ASN, f"not in 1..{MAX_ASN}"),
        (
            "local_address",
            local is not None and local.version != peer.address.version,
            "not of the family of the peer's address",
        ),
        ("families", not peer.families <= {IPV4, IPV6}, "only 4 and 6"),
        (
            "hold_time_s",
            not MIN_HOLD_TIME_S <= hold <= MAX_HOLD_TIME_S,
            f"not in {MIN_HOLD_TIME_S}..{MAX_HOLD_TIME_S}",
        ),
        (
            "connect_retry_s",
            not 1 <= peer.connect_retry_s <= MAX_CONNECT_RETRY_S,
            f"not in 1..{MAX_CONNECT_RETRY_S}",
        ),
        (
            "graceful_restart_s",
            not 0 <= peer.graceful_restart_s <= MAX_RESTART_TIME_S,
            f"not in 0..{MAX_RESTART_TIME_S}",
        ),
        ("port", not 1 <= peer.port <= MAX_PORT, f"not in 1..{MAX_PORT}"),
        (
            "multihop_ttl",
            peer.multihop_ttl is not None and not 1 <= peer.multihop_ttl <= MAX_TTL,
            f"not in 1..{MAX_TTL}",
        ),
        (
            "passive",
            peer.passive and (local is None or peer.interface is not None),
            "needs local_address, the address to listen at",
        ),
        *_transport_rules(peer),
    )


def _transport_rules(peer: PeerSettings) -> tuple[Rule, ...]:
    interface, hops = peer.source_interface, peer.ttl_security_hops
    return (
        (
            "source_interface",
            interface is not None and not INTERFACE_PATTERN.fullmatch(interface),
            "not the name of an interface",
        ),
        (
            "source_interface",
            interface is not None and peer.interface is not None,
            "a peer by interface has it already",
        ),
        (
            "ttl_security",
            hops is not None and not 1 <= hops < MAX_TTL,
            f"hops are not in 1..{MAX_TTL - 1}",
        ),
        (
            "ttl_security",
            hops is not None and peer.multihop_ttl is not None,
            "excludes multihop_ttl: with it everything is sent with TTL 255;"
            " for a peer behind routers give the number of hops here",
        ),
        (
            "allow_own_asn",
            not 0 <= peer.allow_own_asn <= MAX_OWN_ASNS,
            f"not in 0..{MAX_OWN_ASNS}",
        ),
        (
            "shutdown_text",
            peer.shutdown is not None and not is_shutdown_text(peer.shutdown),
            "longer than 255 bytes, or with control characters (RFC 9003)",
        ),
    )


def _unusable(address: IPAddress) -> bool:
    zone = isinstance(address, IPv6Address) and address.scope_id
    return bool(
        address.is_multicast or address.is_unspecified or (zone and not address.is_link_local)
    )
