"""Well-formed UPDATEs, lines of ExaBGP and frames of our launcher, and what they are made of."""

from __future__ import annotations

import json
import struct
from ipaddress import ip_address
from typing import Any, Final

from bgp.nlri import Prefix
from bgp.speaker.launcher.frame import pack
from tests.support.bgp_wire import (
    END_OF_RIB,
    IGP,
    UPDATE,
    announcement,
    as_path,
    attribute,
    body,
    message,
    next_hop,
    nlri,
    withdrawal,
)

_PODS = [Prefix.parse(f"10.244.{i}.0/24") for i in range(20)]
_PODS6 = [Prefix.parse(f"fd00:244:{i:x}::/64") for i in range(1, 20)]
_MIXED = [
    Prefix.parse(text) for text in ("10.244.2.0/24", "10.0.0.1/32", "0.0.0.0/0", "10.8.0.0/13")
]
_HOP6 = ip_address("fd00:0:1::2").packed
_LINK_LOCAL = ip_address("fe80::1").packed
_GOOD = IGP + as_path(65101, 65202) + next_hop("10.0.1.2")
_EVERYTHING = b"".join(
    (
        attribute(0x40, 1, b"\2"),
        attribute(0x40, 2, bytes.fromhex("02010000fe4d01020000000300000001")),
        next_hop("10.0.1.2"),
        attribute(0x80, 4, bytes(4)),
        attribute(0x40, 5, bytes(4)),
        attribute(0x40, 6, b""),
        attribute(0xC0, 7, bytes(8)),
        attribute(0xC0, 8, bytes.fromhex("ffff0000fde80007")),
        attribute(0x80, 9, bytes(4)),
        attribute(0x80, 10, bytes(8)),
        attribute(0xC0, 16, bytes(8)),
        attribute(0xC0, 25, bytes(20)),
        attribute(0xC0, 32, bytes(12)),
        attribute(0xC0, 128, bytes(4)),
        attribute(0xD0, 99, bytes(300)),
    )
)
_OLD_PATH = attribute(0x40, 2, bytes.fromhex("0203fe4d5ba05ba0"))
_AS4_PATH = attribute(0xC0, 17, bytes.fromhex("02020001117000011171"))


def _reach(hop: bytes, prefixes: list[Prefix], afi: int = 2) -> bytes:
    return attribute(0x80, 14, bytes((0, afi, 1, len(hop))) + hop + b"\0" + nlri(prefixes))


BODIES: Final = (
    *END_OF_RIB.values(),
    announcement(_PODS[:1], "10.0.1.2", 65101),
    announcement(_PODS, "10.0.1.2", 65101, 65202),
    announcement(_PODS[:2], "10.0.1.2", 65101, 0),
    announcement(_PODS6, "fd00:0:1::2", 65101),
    withdrawal(_PODS),
    withdrawal(_PODS6),
    body(nlri(_MIXED), _EVERYTHING, nlri(_PODS[:2])),
    body(b"", _reach(_HOP6 + _LINK_LOCAL, _PODS6[:2]) + _GOOD, nlri(_MIXED)),
    body(b"", _reach(_LINK_LOCAL, _PODS, afi=1) + IGP + as_path(65101)),
    body(b"", IGP + _OLD_PATH + next_hop("10.0.1.2") + _AS4_PATH, nlri(_PODS[:1])),
    body(b"", _GOOD),
    body(b"", _GOOD + attribute(0x80, 15, b"\0\2\1" + nlri(_PODS6[:2])), nlri(_PODS[:1])),
)
UPDATES: Final = tuple(bytes((number % 16,)) + raw for number, raw in enumerate(BODIES * 3))
"""Each behind an octet that says what was negotiated."""
PIECES: Final = (
    *(_GOOD, IGP, as_path(0), as_path(23456), next_hop("0.0.0.0"), nlri(_MIXED), _AS4_PATH),
    *(b"\x40\x01\x01", b"\xc0\x08\x04", b"\x80\x0e", b"\x80\x0f\x03\0\2\1", b"\x90\x0e\0\x20"),
    *(b"\0\1\1", b"\0\2\1", b"\xff" * 16, struct.pack(">H", 23), b"\3\1\0\0\0\1", b"\x20"),
)


def frame(*bodies: bytes, peer: str = "10.0.1.2", families: tuple[int, ...] = (4, 6)) -> bytes:
    """Return a frame of whole UPDATEs."""
    messages = b"".join(message(UPDATE, raw) for raw in bodies)
    return pack(peer, messages, families=set(families), four_octet_asns=True)


def line(kind: str, **neighbor: Any) -> bytes:
    """Return a line as ExaBGP writes it."""
    head = {
        "address": {"local": "10.0.1.3", "peer": "10.0.1.2"},
        "asn": {"local": 65201, "peer": 65101},
    }
    return json.dumps({"exabgp": "5.0.0", "type": kind, "neighbor": head | neighbor}).encode()


_CAPABILITIES = {
    "1": {"name": "multiprotocol", "families": ["ipv4/unicast", " ipv6/unicast"]},
    "64": {
        "name": "graceful restart",
        "time": 120,
        "address-family-flags": {"ipv4/unicast": ["restart"], "ipv6/unicast": []},
        "restart-flags": ["forwarding"],
    },
    "65": {"name": "asn4", "asn4": 65101},
}
_OPEN = {"asn": 65101, "hold_time": 9, "router_id": "10.255.0.1", "capabilities": _CAPABILITIES}
_ATTRIBUTES = {
    "origin": "igp",
    "as-path": {
        "0": {"element": "as-sequence", "value": [65101]},
        "1": {"element": "as-set", "value": [3, 1]},
    },
    "med": 5,
    "local-preference": 100,
    "community": [[65535, 0]],
    "large-community": [[1, 2, 3]],
}
_UPDATE = {
    "attribute": _ATTRIBUTES,
    "announce": {
        "ipv4 unicast": {"10.0.1.2": [{"nlri": "10.244.2.0/24"}]},
        "ipv6 unicast": {
            "fd00::2": [{"nlri": "fd00:244::/64"}],
            "fe80::1": [{"nlri": "fd00:244::/64"}],
        },
        "l2vpn evpn": {},
    },
    "withdraw": {"ipv4 unicast": [{"nlri": "10.244.3.0/24"}], "ipv6 flow": []},
}
LINES: Final = (
    b"exabgp 5.0.15",
    b'{"exabgp":"5.0.0","type":"notification","notification":"shutdown"}',
    *(line("state", state=state, reason="peer reset") for state in ("connected", "up", "down")),
    *(line("open", direction=way, open=_OPEN) for way in ("send", "receive")),
    *(line("update", direction=way, message={"update": _UPDATE}) for way in ("send", "receive")),
    *(
        line("update", direction=way, message={"eor": {"afi": "ipv4", "safi": "unicast"}})
        for way in ("send", "receive")
    ),
    line(
        "notification",
        direction="receive",
        notification={"code": 6, "subcode": 2, "message": 'Shutdown Communication: "bye"'},
    ),
    line("refresh", direction="receive", **{"route-refresh": {"afi": "ipv6", "safi": "unicast"}}),
    line("state", address={"local": "None", "peer": "fe80::1"}, state="up"),
    line("keepalive"),
)
WORDS: Final = tuple(
    word.encode()
    for word in (
        *("type", "neighbor", "state", "open", "update", "eor", "attribute", "announce", "nlri"),
        *("withdraw", "as-path", "as-set", "element", "value", "med", "community", "direction"),
        *("ipv4 unicast", "ipv6 unicast", "10.0.0.1/33", "::/0", "fe80::1%eth1", "0.0.0.0", "0x00"),
        *("restart-flags", "address-family-flags", "capabilities", "name", "asn4", "families"),
    )
)
# Enough that look alike to be read together, for two lengths of prefixes.
_ALIKE: Final = [
    [announcement([pod], "10.0.1.2", 65101, 65300 + i) for i, pod in enumerate(pods)]
    for pods in (_PODS, [Prefix(4, (10 << 24) + (i << 19), 13) for i in range(20)])
]
STREAMS: Final = (
    *(frame(*BODIES[:number]) for number in (1, 3, len(BODIES))),
    *(frame(*bodies) for bodies in _ALIKE),
    frame(BODIES[2], peer="fe80::1 fe80::2"),
    frame(BODIES[2], families=(6,)) + LINES[2] + b"\n" + frame(BODIES[3]),
    b"\n".join(LINES) + b"\n",
    frame(BODIES[2] + b"\0") + frame(BODIES[3]),
)
