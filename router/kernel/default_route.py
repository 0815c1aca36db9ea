"""Default routes that are not ours, read from packed dumps. PURE.

A dump is asked for by protocol, so that the kernel leaves out a full table of learned routes:
listing everything to find a default route costs seconds with 100,000 of them.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from bgp.nlri import IPV4
from router.kernel.message import attributes, get_u32
from router.kernel.route import legs_in

FOREIGN_PROTOCOLS: Final = (2, 3, 4, 9, 16)
"""RTPROT_KERNEL, _BOOT, _STATIC, _RA, _DHCP: who gives hosts their default routes."""
RTPROT_RA: Final = 9

_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_MULTIPATH: Final = 9
_RTMSG: Final = struct.Struct("=BBBBBBBBI")


class Leg(NamedTuple):
    """One next hop of a default route."""

    gateway: IPv4Address | IPv6Address | None
    ifindex: int


def read_legs(family: int, payload: bytes) -> list[Leg]:
    """Return the next hops if this is a default route, else nothing."""
    if payload[1]:
        return []
    found = attributes(payload, _RTMSG.size)
    legs: list[Leg] = []
    if _RTA_OIF in found:
        legs.append(Leg(_address(family, found.get(_RTA_GATEWAY)), get_u32(found[_RTA_OIF])))
    for _, ifindex, inner in legs_in(found.get(_RTA_MULTIPATH, b"")):
        legs.append(Leg(_address(family, inner.get(_RTA_GATEWAY)), ifindex))
    return legs


def _address(family: int, packed: bytes | None) -> IPv4Address | IPv6Address | None:
    if packed is None:
        return None
    return IPv4Address(packed) if family == IPV4 else IPv6Address(packed)
