"""Links and their addresses on the wire (include/uapi/linux/{if_link,if_addr}.h). PURE."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

from router.kernel.message import NLM_F_DUMP, attributes, get_text, get_u32, message, u32
from router.model.link import InterfaceAddress, Link

_RTM_GETLINK: Final = 18
_RTM_GETADDR: Final = 22
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_GROUP: Final = 27
_IFLA_EXT_MASK: Final = 29
_RTEXT_FILTER_SKIP_STATS: Final = 8
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_FLAGS: Final = 8
_AF_INET: Final = 2
_AF_INET6: Final = 10
_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x10000
_IFA_F_UNUSABLE: Final = 0x40 | 0x08 | 0x20
"""IFA_F_TENTATIVE, IFA_F_DADFAILED, IFA_F_DEPRECATED."""

_IFINFOMSG: Final = struct.Struct("=BBHiII")
"""ifi_family, padding, ifi_type, ifi_index, ifi_flags, ifi_change."""
_IFADDRMSG: Final = struct.Struct("=BBBBI")
"""ifa_family, ifa_prefixlen, ifa_flags, ifa_scope, ifa_index."""


def list_links() -> bytes:
    """Return the request for all links, without their counters."""
    mask = u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS)
    return message(_RTM_GETLINK, NLM_F_DUMP, _IFINFOMSG.pack(0, 0, 0, 0, 0, 0), mask)


def list_addresses() -> bytes:
    """Return the request for the addresses of all links."""
    return message(_RTM_GETADDR, NLM_F_DUMP, _IFADDRMSG.pack(0, 0, 0, 0, 0))


def read_link(
    payload: bytes, addresses: Mapping[int, Iterable[InterfaceAddress]]
) -> tuple[Link, int]:
    """Return the link in an RTM_NEWLINK payload, and its group; `addresses` are by index."""
    _, _, _, index, flags, _ = _IFINFOMSG.unpack_from(payload)
    found = attributes(payload, _IFINFOMSG.size)
    link = Link(
        index=index,
        name=get_text(found[_IFLA_IFNAME]) if _IFLA_IFNAME in found else f"link{index}",
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        mtu=get_u32(found[_IFLA_MTU]) if _IFLA_MTU in found else 0,
        addresses=tuple(addresses.get(index, ())),
    )
    return link, get_u32(found[_IFLA_GROUP]) if _IFLA_GROUP in found else 0


def read_address(payload: bytes) -> tuple[int, InterfaceAddress | None]:
    """Return the link's index and the address in an RTM_NEWADDR payload, None if it is unusable."""
    family, length, flags, _, index = _IFADDRMSG.unpack_from(payload)
    found = attributes(payload, _IFADDRMSG.size)
    if _IFA_FLAGS in found:
        flags = get_u32(found[_IFA_FLAGS])
    # On a point-to-point address IFA_LOCAL is ours and IFA_ADDRESS the other end.
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if packed is None or flags & _IFA_F_UNUSABLE:
        return index, None
    if family == _AF_INET:
        return index, IPv4Interface((packed, length))
    if family == _AF_INET6:
        return index, IPv6Interface((packed, length))
    return index, None
