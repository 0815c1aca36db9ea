"""Nexthop objects on the wire (include/uapi/linux/nexthop.h). PURE."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from bgp.nlri import IPV4
from router.kernel.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    attribute,
    attributes,
    get_u32,
    message,
    u32,
)
from router.kernel.protocols import RouteProtocol
from router.model.fib import Hop

RTM_NEWNEXTHOP: Final = 104
RTM_DELNEXTHOP: Final = 105
RTM_GETNEXTHOP: Final = 106

_NHA_ID: Final = 1
_NHA_GROUP: Final = 2
_NHA_BLACKHOLE: Final = 4
_NHA_OIF: Final = 5
_NHA_GATEWAY: Final = 6

_NHMSG: Final = struct.Struct("=BBBBI")
"""nh_family, nh_scope, nh_protocol, resvd, nh_flags."""
_NEXTHOP_GRP: Final = struct.Struct("=IBBH")
"""id, weight - 1, weight_high, resvd2 (struct nexthop_grp)."""
_AF: Final = {4: 2, 6: 10}
_FAMILY: Final = {2: 4, 10: 6}
_RTNH_F_ONLINK: Final = 4


class Observed(NamedTuple):
    """One nexthop object of a dump: a hop or a group."""

    id: int
    protocol: int
    hop: Hop | None
    members: tuple[int, ...]


def write_hop(identifier: int, hop: Hop) -> bytes:
    """Return the message that creates or replaces a nexthop object.

    Onlink: the gateway stands on a link whose connected network we have already checked,
    and a link-local gateway of an unnumbered peer has none.
    """
    size = 4 if hop.family == IPV4 else 16
    return message(
        RTM_NEWNEXTHOP,
        NLM_F_CREATE | NLM_F_REPLACE,
        _NHMSG.pack(_AF[hop.family], 0, RouteProtocol.LEARNED, 0, _RTNH_F_ONLINK),
        u32(_NHA_ID, identifier),
        u32(_NHA_OIF, hop.ifindex),
        attribute(_NHA_GATEWAY, hop.gateway.to_bytes(size, "big")),
    )


def write_group(identifier: int, members: tuple[int, ...]) -> bytes:
    """Return the message that creates a group or replaces its members, all of equal weight."""
    return message(
        RTM_NEWNEXTHOP,
        NLM_F_CREATE | NLM_F_REPLACE,
        _NHMSG.pack(0, 0, RouteProtocol.LEARNED, 0, 0),
        u32(_NHA_ID, identifier),
        attribute(_NHA_GROUP, b"".join(_NEXTHOP_GRP.pack(m, 0, 0, 0) for m in members)),
    )


def write_blackhole(identifier: int) -> bytes:
    """Return the message that creates a nexthop object that leads nowhere and needs no link."""
    return message(
        RTM_NEWNEXTHOP,
        NLM_F_CREATE | NLM_F_EXCL,
        _NHMSG.pack(_AF[IPV4], 0, RouteProtocol.LEARNED, 0, 0),
        u32(_NHA_ID, identifier),
        attribute(_NHA_BLACKHOLE, b""),
    )


def delete(identifier: int) -> bytes:
    """Return the message that deletes a nexthop object, and every route that uses it."""
    return message(RTM_DELNEXTHOP, 0, _NHMSG.pack(0, 0, 0, 0, 0), u32(_NHA_ID, identifier))


def dump_all() -> bytes:
    """Return the request for every nexthop object of the namespace."""
    return message(RTM_GETNEXTHOP, NLM_F_DUMP, _NHMSG.pack(0, 0, 0, 0, 0))


def read(payload: bytes) -> Observed:
    """Return the object in an RTM_NEWNEXTHOP payload."""
    family, _, protocol, _, _ = _NHMSG.unpack_from(payload)
    found = attributes(payload, _NHMSG.size)
    packed = found.get(_NHA_GROUP, b"")
    members = tuple(sorted(entry[0] for entry in _NEXTHOP_GRP.iter_unpack(packed)))
    hop = None
    if _NHA_GATEWAY in found and _NHA_OIF in found:
        gateway = int.from_bytes(found[_NHA_GATEWAY], "big")
        hop = Hop(_FAMILY[family], gateway, get_u32(found[_NHA_OIF]))
    return Observed(get_u32(found[_NHA_ID]), protocol, hop, members)
