"""What the kernel lists, for pod links: the requests and their answers. PURE.

Layouts: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h. Every request passes strict
checking (NETLINK_GET_STRICT_CHK), so that the kernel filters by kind, family and protocol.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cni.attachment.plan import Address
from router.kernel.message import (
    NLM_F_ACK,
    NLM_F_DUMP,
    attribute,
    attributes,
    get_text,
    get_u32,
    message,
    nested,
    text,
    u32,
)
from router.kernel.podlink_wire import CONDEMNED_GROUP_BASE, CONDEMNED_GROUPS
from router.kernel.protocols import POD_LINK_GROUP, RouteProtocol
from router.model.place import MAIN_TABLE

RTM_NEWLINK: Final = 16
_RTM_GETLINK: Final = 18
_RTM_GETADDR: Final = 22
_RTM_GETROUTE: Final = 26
_RTM_GETNEIGH: Final = 30
_RTM_GETRULE: Final = 34

_FAMILY: Final = {4: 2, 6: 10}
"""IP version -> AF_INET, AF_INET6."""

_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_LINK: Final = 5
_IFLA_LINKINFO: Final = 18
_IFLA_IFALIAS: Final = 20
_IFLA_GROUP: Final = 27
_IFLA_EXT_MASK: Final = 29
_IFLA_LINK_NETNSID: Final = 37
_IFLA_TARGET_NETNSID: Final = 46
_IFLA_INFO_KIND: Final = 1
_RTEXT_FILTER_SKIP_STATS: Final = 8
_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x10000
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_NDA_DST: Final = 1
_NDA_LLADDR: Final = 2
_NDA_IFINDEX: Final = 8
_NUD_PERMANENT: Final = 0x80
_RTA_DST: Final = 1
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PREFSRC: Final = 7
_RTPROT_STATIC: Final = 4
_RTN_LOCAL: Final = 2
_RTM_F_FIB_MATCH: Final = 0x2000
RTM_NEWROUTE: Final = 24

_FRA_SRC: Final = 2
_FRA_TABLE: Final = 15
_FRA_PROTOCOL: Final = 21
_RTA_TABLE: Final = 15
_I32: Final = struct.Struct("=i")
_NOT_KNOWN: Final = _I32.pack(-1)

_IFINFOMSG: Final = struct.Struct("=BBHiII")
_IFADDRMSG: Final = struct.Struct("=BBBBI")
_RTMSG: Final = struct.Struct("=BBBBBBBBI")
_NDMSG: Final = struct.Struct("=BBHiHBB")


def get_link(name: str) -> bytes:
    """Return the request for one link by name, acknowledged so that its end is seen."""
    return message(
        _RTM_GETLINK,
        NLM_F_ACK,
        _IFINFOMSG.pack(0, 0, 0, 0, 0, 0),
        u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
        text(_IFLA_IFNAME, name),
    )


def get_link_at(index: int, *, flags: int = NLM_F_ACK) -> bytes:
    """Return the request for one link by index, acknowledged so that its end is seen."""
    return message(
        _RTM_GETLINK,
        flags,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0),
        u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
    )


def get_route_to(address: Address, *, entry: bool = False, flags: int = NLM_F_ACK) -> bytes:
    """Return the request for the route a packet to this address takes, acknowledged.

    With ``entry``, as it stands in its table.
    """
    return message(
        _RTM_GETROUTE,
        flags,
        _RTMSG.pack(
            *(_FAMILY[address.version], address.max_prefixlen, 0, 0, 0, 0, 0, 0),
            _RTM_F_FIB_MATCH if entry else 0,
        ),
        attribute(_RTA_DST, address.packed),
    )


def is_host_route(payload: bytes, index: int) -> bool:
    """Return whether an RTM_NEWROUTE is one of our host routes on this link."""
    _, length, _, _, table, protocol, *_ = _RTMSG.unpack_from(payload)
    oif, _, destination, _ = parse_route(payload)
    return (
        protocol == RouteProtocol.POD
        and table == MAIN_TABLE
        and oif == index
        and destination is not None
        and length == destination.max_prefixlen
    )


def is_local(payload: bytes) -> bool:
    """Return whether an RTM_NEWROUTE delivers to the host itself (RTN_LOCAL)."""
    return bool(_RTMSG.unpack_from(payload)[7] == _RTN_LOCAL)


def list_veths() -> bytes:
    """Return the request for all veth links; the kernel cannot filter by group."""
    return message(
        _RTM_GETLINK,
        NLM_F_DUMP,
        _IFINFOMSG.pack(0, 0, 0, 0, 0, 0),
        u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
        nested(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"veth")),
    )


def list_addresses() -> bytes:
    """Return the request for all addresses of both families."""
    return message(_RTM_GETADDR, NLM_F_DUMP, _IFADDRMSG.pack(0, 0, 0, 0, 0))


def list_pod_routes(version: int, index: int = 0) -> bytes:
    """Return the request for our host routes of one family, to one link or (0) to any."""
    return message(
        _RTM_GETROUTE,
        NLM_F_DUMP,
        _RTMSG.pack(_FAMILY[version], 0, 0, 0, MAIN_TABLE, RouteProtocol.POD, 0, 0, 0),
        *((u32(_RTA_OIF, index),) if index else ()),
    )


def list_table_routes(version: int) -> bytes:
    """Return the request for the static routes of one family in every table."""
    return message(
        _RTM_GETROUTE,
        NLM_F_DUMP,
        _RTMSG.pack(_FAMILY[version], 0, 0, 0, 0, _RTPROT_STATIC, 0, 0, 0),
    )


def list_rules(version: int) -> bytes:
    """Return the request for the rules of one family."""
    return message(_RTM_GETRULE, NLM_F_DUMP, _RTMSG.pack(_FAMILY[version], *(0,) * 8))


def get_link_elsewhere(namespace: int, index: int) -> bytes:
    """Return the request for a link of another namespace, which goes by this id here."""
    return message(
        _RTM_GETLINK,
        NLM_F_ACK,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0),
        u32(_IFLA_TARGET_NETNSID, namespace),
        u32(_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
    )


def list_neighbors(index: int | None) -> bytes:
    """Return the request for the neighbors of both families on one link, or on all (None)."""
    on_link = b"" if index is None else u32(_NDA_IFINDEX, index)
    return message(_RTM_GETNEIGH, NLM_F_DUMP, _NDMSG.pack(0, 0, 0, 0, 0, 0, 0), on_link)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEntry:
    """One link of a listing.

    ``peer`` is the index of a veth's other end in its namespace, which goes by the id
    ``peer_namespace`` here (-1: not known).
    """

    index: int
    name: str
    alias: str
    group: int
    peer: int
    up: bool
    carrier: bool
    mac: bytes
    peer_namespace: int

    @property
    def is_pod_link(self) -> bool:
        """Return whether it carries our mark, or that of a removal that has begun."""
        return self.group == POD_LINK_GROUP or self.is_condemned

    @property
    def is_condemned(self) -> bool:
        """Return whether its removal has begun."""
        return 0 <= self.group - CONDEMNED_GROUP_BASE < CONDEMNED_GROUPS


def has_carrier(payload: bytes) -> bool:
    """Return whether the link of an RTM_NEWLINK has carrier, without looking at the rest."""
    return bool(_IFINFOMSG.unpack_from(payload)[4] & _IFF_LOWER_UP)


def parse_link(payload: bytes) -> LinkEntry:
    """Parse the payload of an RTM_NEWLINK."""
    _, _, _, index, flags, _ = _IFINFOMSG.unpack_from(payload)
    found = attributes(payload, _IFINFOMSG.size)
    return LinkEntry(
        index=index,
        name=get_text(found.get(_IFLA_IFNAME, b"")),
        alias=get_text(found.get(_IFLA_IFALIAS, b"")),
        group=get_u32(found[_IFLA_GROUP]) if _IFLA_GROUP in found else 0,
        peer=get_u32(found[_IFLA_LINK]) if _IFLA_LINK in found else 0,
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        mac=found.get(_IFLA_ADDRESS, b""),
        peer_namespace=_I32.unpack(found.get(_IFLA_LINK_NETNSID, _NOT_KNOWN))[0],
    )


def parse_address(payload: bytes) -> tuple[int, Address]:
    """Return (link index, address) of an RTM_NEWADDR."""
    index: int = _IFADDRMSG.unpack_from(payload)[4]
    found = attributes(payload, _IFADDRMSG.size)
    # On a point-to-point link IFA_ADDRESS is the other end's.
    return index, _address(found.get(_IFA_LOCAL) or found[_IFA_ADDRESS])


def parse_route(payload: bytes) -> tuple[int, int, Address | None, Address | None]:
    """Return (link index, prefix length, destination, gateway) of an RTM_NEWROUTE."""
    length: int = _RTMSG.unpack_from(payload)[1]
    found = attributes(payload, _RTMSG.size)
    return (
        get_u32(found[_RTA_OIF]) if _RTA_OIF in found else 0,
        length,
        _address(found[_RTA_DST]) if _RTA_DST in found else None,
        _address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None,
    )


def parse_preferred_source(payload: bytes) -> Address | None:
    """Return the preferred source of an RTM_NEWROUTE."""
    packed = attributes(payload, _RTMSG.size).get(_RTA_PREFSRC)
    return None if packed is None else _address(packed)


def parse_table(payload: bytes) -> int:
    """Return the table of an RTM_NEWROUTE."""
    found = attributes(payload, _RTMSG.size)
    return get_u32(found[_RTA_TABLE])


def parse_rule(payload: bytes) -> tuple[Address, int] | None:
    """Return (source, table) of an RTM_NEWRULE with our mark; None of any other rule."""
    found = attributes(payload, _RTMSG.size)
    if found.get(_FRA_PROTOCOL) != bytes((RouteProtocol.POD,)):
        return None
    if _FRA_SRC not in found or _FRA_TABLE not in found:
        return None
    return _address(found[_FRA_SRC]), get_u32(found[_FRA_TABLE])


def parse_neighbor(payload: bytes) -> tuple[int, bool, Address, bytes]:
    """Return (link index, whether permanent, address, MAC) of an RTM_NEWNEIGH."""
    _, _, _, index, state, _, _ = _NDMSG.unpack_from(payload)
    found = attributes(payload, _NDMSG.size)
    return (
        index,
        bool(state & _NUD_PERMANENT),
        _address(found[_NDA_DST]),
        found.get(_NDA_LLADDR, b""),
    )


def _address(packed: bytes) -> Address:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
