"""Router solicitations and advertisements on the wire (RFC 4861 sections 4.1, 4.2 and 6.1). PURE.

The checksum is the kernel's: raw ICMPv6 sockets leave it to it (RFC 3542 section 3.1).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from ipaddress import IPv6Address
from typing import Final

HOP_LIMIT: Final = 255
"""No router has forwarded it: what comes with less was not sent on this link."""
ALL_NODES: Final = "ff02::1"
ALL_ROUTERS: Final = "ff02::2"


class Kind(IntEnum):
    """ICMPv6 types."""

    SOLICITATION = 133
    ADVERTISEMENT = 134


_SOLICITATION: Final = struct.Struct(">BBHI")
_ADVERTISEMENT: Final = struct.Struct(">BBHBBHII")
"""Type, code, checksum, hop limit, flags, router lifetime, reachable time, retransmission time."""
_SIZES: Final = {
    Kind.SOLICITATION: _SOLICITATION.size,
    Kind.ADVERTISEMENT: _ADVERTISEMENT.size,
}

SOLICITATION: Final = _SOLICITATION.pack(Kind.SOLICITATION, 0, 0, 0)
ADVERTISEMENT: Final = _ADVERTISEMENT.pack(Kind.ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0)
"""Says that we are here and nothing else: with lifetime 0 nobody takes us for a default router,
and without prefix nobody makes addresses. FRR learns its peer from the source address."""

# ICMP6_FILTER: a bit for each type, set where it is blocked (RFC 3542 section 3.2).
FILTER: Final = struct.pack(
    "=8I",
    *(
        0xFFFFFFFF & ~sum(1 << (kind & 31) for kind in Kind if kind >> 5 == word)
        for word in range(8)
    ),
)


def read(message: bytes, source: IPv6Address, hop_limit: int) -> Kind | None:
    """Give what the message is; None for one that is to be ignored (RFC 4861 section 6.1).

    The source must be link-local: an advertisement's by the RFC, and a solicitation's because it
    is answered there (a host that has no address yet, `::`, is no peer).
    """
    if hop_limit != HOP_LIMIT or not source.is_link_local or len(message) < 4 or message[1]:
        return None
    size = _SIZES.get(message[0])  # type: ignore[call-overload]  # an IntEnum equals its number
    if size is None or len(message) < size or not _has_sound_options(message, size):
        return None
    return Kind(message[0])


def _has_sound_options(message: bytes, at: int) -> bool:
    while at < len(message):
        length = message[at + 1] * 8 if at + 1 < len(message) else 0
        if not length or at + length > len(message):
            return False
        at += length
    return True
