"""A pod link's operations as rtnetlink messages. PURE.

Layouts: include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour,veth}.h. What each operation is for
stands with ``cni.attachment.plan``; the marks with ``router.kernel.protocols``.
"""

from __future__ import annotations

import struct
from typing import Final, assert_never

from cni.attachment.plan import (
    AddAddress,
    AddDefaultRoute,
    AddHostRoute,
    AddNeighbor,
    Address,
    AddSourceRule,
    BringUp,
    CreateLink,
    DisableAddressGeneration,
    LinkOperation,
    RecordAttachment,
    RemoveMulticastRoute,
)
from router.kernel.message import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    attribute,
    message,
    nested,
    text,
    u8,
    u32,
)
from router.kernel.podlink_rule_wire import add_rule
from router.kernel.protocols import POD_LINK_GROUP, RouteProtocol
from router.model.place import MAIN_TABLE

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
_RTM_SETLINK: Final = 19
_RTM_NEWADDR: Final = 20
_RTM_NEWROUTE: Final = 24
_RTM_DELROUTE: Final = 25
_RTM_NEWNEIGH: Final = 28

_AF_INET: Final = 2
_AF_INET6: Final = 10
_FAMILY: Final = {4: _AF_INET, 6: _AF_INET6}
_HOST_LENGTH: Final = {4: 32, 6: 128}
_ADDRESS_BYTES: Final = {4: 4, 6: 16}

_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_LINKINFO: Final = 18
_IFLA_IFALIAS: Final = 20
_IFLA_AF_SPEC: Final = 26
_IFLA_GROUP: Final = 27
_IFLA_NET_NS_FD: Final = 28
_IFLA_NUM_TX_QUEUES: Final = 31
_IFLA_NUM_RX_QUEUES: Final = 32
_IFLA_INFO_KIND: Final = 1
_IFLA_INFO_DATA: Final = 2
_VETH_INFO_PEER: Final = 1
_IFLA_INET6_ADDR_GEN_MODE: Final = 8
_IN6_ADDR_GEN_MODE_NONE: Final = 1
_IFF_UP: Final = 0x1

_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_IFA_FLAGS: Final = 8
_IFA_F_NODAD: Final = 0x02
_IFA_F_PERMANENT: Final = 0x80
_IFA_F_NOPREFIXROUTE: Final = 0x200

_NDA_DST: Final = 1
_NDA_LLADDR: Final = 2
_NUD_PERMANENT: Final = 0x80

_RTA_DST: Final = 1
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PREFSRC: Final = 7
_RTA_TABLE: Final = 15
_RT_TABLE_LOCAL: Final = 255
_MULTICAST: Final = b"\xff" + bytes(15)
"""ff00::, with a length of 8 (RFC 4291 section 2.7)."""
_RT_TABLE_COMPAT: Final = 252
"""In the header, where the number stands in an attribute."""
_RT_SCOPE_UNIVERSE: Final = 0
_RT_SCOPE_LINK: Final = 253
_RTN_UNICAST: Final = 1
_RTPROT_STATIC: Final = 4
_RTNH_F_ONLINK: Final = 4


_IFINFOMSG: Final = struct.Struct("=BBHiII")
"""family, pad, type, index, flags, change."""
# The messages of every ADD, each packed at once; by IP version: the addresses differ in length.
# A netlink header, the family's header, then attributes (length, type, value).
_LINK: Final = struct.Struct("=IHHII BBHiII")
"""...; family, pad, type, index, flags, change."""
_ADDRESS: Final = {
    version: struct.Struct(f"=IHHII BBBBI HH{size}s HH{size}s HHI")
    for version, size in _ADDRESS_BYTES.items()
}
"""...; family, prefixlen, flags, scope, index; IFA_LOCAL; IFA_ADDRESS; IFA_FLAGS."""
_NEIGHBOR: Final = {
    version: struct.Struct(f"=IHHII BBHiHBB HH{size}s HH6sxx")
    for version, size in _ADDRESS_BYTES.items()
}
"""...; family, pad, pad, index, state, flags, type; NDA_DST; NDA_LLADDR."""
_ROUTE: Final = {
    version: struct.Struct(f"=IHHII BBBBBBBBI HH{size}s HHI")
    for version, size in _ADDRESS_BYTES.items()
}
"""...; family, dst_len, src_len, tos, table, protocol, scope, type, flags; an address; RTA_OIF."""
_NO_ADDRESS_GENERATION: Final = nested(
    _IFLA_AF_SPEC, nested(_AF_INET6, u8(_IFLA_INET6_ADDR_GEN_MODE, _IN6_ADDR_GEN_MODE_NONE))
)

_CREATE: Final = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL
"""Not NLM_F_REPLACE: what is there already is not ours (invariant 4)."""

CONDEMNED_GROUP_BASE: Final = 0x7072_0000
"""Groups from here to +0xffff hold pod links whose removal has begun, one batch each."""
CONDEMNED_GROUPS: Final = 0x1_0000


def create(operation: CreateLink, index: int, sandbox: int) -> bytes:
    """Return the creation of both ends, both with this index; to be sent alone (ADR 0022).

    One queue pair unless configured: with the kernel's default, as many as there are possible CPUs,
    creation takes half as long again, for queues that veth does not need.
    """
    queues = u32(_IFLA_NUM_TX_QUEUES, operation.queues)
    queues += u32(_IFLA_NUM_RX_QUEUES, operation.queues)
    mtu = u32(_IFLA_MTU, operation.mtu)
    peer = attribute(
        _VETH_INFO_PEER,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0)
        + text(_IFLA_IFNAME, operation.pod_name)
        + attribute(_IFLA_ADDRESS, operation.pod_mac)
        + mtu
        + queues
        + u32(_IFLA_NET_NS_FD, sandbox),
    )
    return message(
        RTM_NEWLINK,
        _CREATE,
        _IFINFOMSG.pack(0, 0, 0, index, 0, 0),
        text(_IFLA_IFNAME, operation.host_name),
        attribute(_IFLA_ADDRESS, operation.host_mac),
        mtu,
        u32(_IFLA_GROUP, POD_LINK_GROUP),
        queues,
        nested(
            _IFLA_LINKINFO,
            attribute(_IFLA_INFO_KIND, b"veth"),
            nested(_IFLA_INFO_DATA, peer),
        ),
    )


def pack(operation: LinkOperation, index: int) -> bytes:
    """Return the message of an operation on the link with this index."""
    match operation:
        case DisableAddressGeneration():
            return _set_link(index, _NO_ADDRESS_GENERATION)
        case BringUp():
            header = (_LINK.size, _RTM_SETLINK, NLM_F_REQUEST, 0, 0)
            return _LINK.pack(*header, 0, 0, 0, index, _IFF_UP, _IFF_UP)
        case RecordAttachment(alias=alias):
            record = attribute(_IFLA_IFALIAS, alias.encode())
            return _set_link(index, record, _NO_ADDRESS_GENERATION)
        case AddAddress(address=address):
            return _add_address(address, index)
        case AddNeighbor(address=address, mac=mac):
            return _add_neighbor(address, mac, index)
        case AddDefaultRoute(gateway=gateway, table=table):
            return _add_default_route(gateway, index, table)
        case AddSourceRule(address=address, table=table):
            return add_rule(address, table)
        case AddHostRoute() | RemoveMulticastRoute():
            return _host_route(operation, index)
        case _:
            assert_never(operation)


def _set_link(index: int, *parts: bytes) -> bytes:
    rest = b"".join(parts)
    header = (_LINK.size + len(rest), _RTM_SETLINK, NLM_F_REQUEST, 0, 0)
    return _LINK.pack(*header, 0, 0, 0, index, 0, 0) + rest


def _add_neighbor(address: Address, mac: bytes, index: int) -> bytes:
    version, packed = address.version, address.packed
    layout = _NEIGHBOR[version]
    return layout.pack(
        *(layout.size, _RTM_NEWNEIGH, _CREATE, 0, 0),
        *(_FAMILY[version], 0, 0, index, _NUD_PERMANENT, 0, _RTN_UNICAST),
        *(4 + len(packed), _NDA_DST, packed),
        *(10, _NDA_LLADDR, mac),
    )


def _add_address(address: Address, index: int) -> bytes:
    version, packed = address.version, address.packed
    flags = _IFA_F_NOPREFIXROUTE | _IFA_F_PERMANENT
    if version == 6:
        flags |= _IFA_F_NODAD
    length = 4 + len(packed)
    layout = _ADDRESS[version]
    return layout.pack(
        *(layout.size, _RTM_NEWADDR, _CREATE, 0, 0),
        *(_FAMILY[version], _HOST_LENGTH[version], 0, _RT_SCOPE_UNIVERSE, index),
        *(length, _IFA_LOCAL, packed, length, _IFA_ADDRESS, packed),
        *(8, _IFA_FLAGS, flags),
    )


def _add_default_route(gateway: Address, index: int, table: int | None) -> bytes:
    version, packed = gateway.version, gateway.packed
    # IPv6 needs no onlink: its gateway is link-local.
    flags = _RTNH_F_ONLINK if version == 4 else 0
    rest = b"" if table is None else u32(_RTA_TABLE, table)
    layout = _ROUTE[version]
    return (
        layout.pack(
            *(layout.size + len(rest), _RTM_NEWROUTE, _CREATE, 0, 0),
            *(_FAMILY[version], 0, 0, 0, MAIN_TABLE if table is None else _RT_TABLE_COMPAT),
            *(_RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, flags),
            *(4 + len(packed), _RTA_GATEWAY, packed),
            *(8, _RTA_OIF, index),
        )
        + rest
    )


def replace_host_route(operation: AddHostRoute, index: int) -> bytes:
    """Return the correction of a host route; only for one that is known to be ours."""
    return _host_route(operation, index, NLM_F_REQUEST | NLM_F_REPLACE)


def _host_route(
    operation: AddHostRoute | RemoveMulticastRoute, index: int, flags: int = _CREATE
) -> bytes:
    if isinstance(operation, RemoveMulticastRoute):
        return _ROUTE[6].pack(
            *(_ROUTE[6].size, _RTM_DELROUTE, NLM_F_REQUEST, 0, 0),
            *(_AF_INET6, 8, 0, 0, _RT_TABLE_LOCAL, 0, _RT_SCOPE_UNIVERSE, 0, 0),
            *(20, _RTA_DST, _MULTICAST, 8, _RTA_OIF, index),
        )
    version, packed = operation.destination.version, operation.destination.packed
    # ip6_route ignores the scope; IPv4 takes a route without gateway only with scope link.
    scope = _RT_SCOPE_LINK if version == 4 else _RT_SCOPE_UNIVERSE
    source = operation.preferred_source
    rest = b"" if source is None else attribute(_RTA_PREFSRC, source.packed)
    layout = _ROUTE[version]
    return (
        layout.pack(
            *(layout.size + len(rest), _RTM_NEWROUTE, flags, 0, 0),
            *(_FAMILY[version], _HOST_LENGTH[version], 0, 0, MAIN_TABLE, RouteProtocol.POD),
            *(scope, _RTN_UNICAST, 0),
            *(4 + len(packed), _RTA_DST, packed),
            *(8, _RTA_OIF, index),
        )
        + rest
    )


def delete(index: int) -> bytes:
    """Return the removal of one link."""
    return message(RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, index, 0, 0))


def condemn(index: int, group: int) -> bytes:
    """Return the move of a link into a group that is about to be removed."""
    return _set_link(index, u32(_IFLA_GROUP, group))


def delete_group(group: int) -> bytes:
    """Return the removal of every link in a group, in one rcu_barrier instead of one each."""
    return message(RTM_DELLINK, 0, _IFINFOMSG.pack(0, 0, 0, 0, 0, 0), u32(_IFLA_GROUP, group))
