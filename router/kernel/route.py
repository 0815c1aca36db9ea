"""Routes on the wire (include/uapi/linux/rtnetlink.h, struct rtmsg). PURE.

Ours are unicast routes, through a nexthop group or with their next hops in themselves, and
`unreachable` routes for own pod CIDRs. What many learned routes share, all that stands behind
the destination, is packed once: their `tail`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from bgp.nlri import IPV4, IPV6, Prefix
from router.kernel.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    attribute,
    attributes,
    get_u32,
    message,
    u32,
)
from router.kernel.protocols import OWN_CIDR_METRIC, RouteProtocol
from router.kernel.runs import Run, put_column, repeated
from router.model.fib import Hop, Hops, Route
from router.model.place import MAIN_TABLE

RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26

_RTA_DST: Final = 1
_RTA_OIF: Final = 4
_RTA_GATEWAY: Final = 5
_RTA_PRIORITY: Final = 6
_RTA_PREFSRC: Final = 7
_RTA_MULTIPATH: Final = 9
_RTA_TABLE: Final = 15
_RTA_VIA: Final = 18
_RTA_ENCAP: Final = 22
_RTA_NH_ID: Final = 30
_RTNH_F_ONLINK: Final = 4
_RTN_UNICAST: Final = 1
_RTN_UNREACHABLE: Final = 7
_RTM_F_CLONED: Final = 0x200

_RTMSG: Final = struct.Struct("=BBBBBBBBI")
"""family, dst_len, src_len, tos, table, protocol, scope, type, flags."""
_AF: Final = {IPV4: 2, IPV6: 10}
_FAMILY: Final = {2: IPV4, 10: IPV6}
_SIZE: Final = {IPV4: 4, IPV6: 16}

_LEARNED: Final = int(RouteProtocol.LEARNED)
_ADD: Final = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL
_REPLACE: Final = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE
# A learned route up to its destination: header, rtmsg, RTA_DST.
_HEAD: Final = {f: struct.Struct(f"=IHHIIBBBBBBBBIHH{s}s") for f, s in _SIZE.items()}
_RTNEXTHOP: Final = struct.Struct("=HBBi")
"""rtnh_len, rtnh_flags, rtnh_hops, rtnh_ifindex."""
_RTVIA: Final = struct.Struct("=H")
"""rtvia_family; the address follows."""
_DST_LENGTH_AT: Final = 17
_NETWORK: Final = itemgetter(1)
_LENGTH: Final = itemgetter(2)
_ANY_SCOPE: Final = 255
"""RT_SCOPE_NOWHERE."""


class Observed(NamedTuple):
    """One route of a dump."""

    prefix: Prefix
    protocol: int
    unreachable: bool
    route: Route


def tail(family: int, route: Route) -> bytes:
    """Return what stands behind the destination of every route like this one of a family."""
    parts = [u32(_RTA_PRIORITY, route.metric)]
    if route.group:
        parts.append(u32(_RTA_NH_ID, route.group))
    else:
        legs = b"".join(_leg(family, hop) for hop in route.hops)
        parts.append(attribute(_RTA_MULTIPATH, legs))
    if route.source:
        parts.append(attribute(_RTA_PREFSRC, route.source.to_bytes(_SIZE[family], "big")))
    return b"".join(parts)


def _leg(family: int, hop: Hop) -> bytes:
    """Return one next hop, of the route's family or (IPv4 only) `via inet6`, of equal weight.

    Onlink for the reasons of `router.kernel.nexthop.write_hop`.
    """
    address = hop.gateway.to_bytes(_SIZE[hop.family], "big")
    if hop.family == family:
        gateway = attribute(_RTA_GATEWAY, address)
    else:
        gateway = attribute(_RTA_VIA, _RTVIA.pack(_AF[hop.family]) + address)
    length = _RTNEXTHOP.size + len(gateway)
    return _RTNEXTHOP.pack(length, _RTNH_F_ONLINK, 0, hop.ifindex) + gateway


def write(
    prefixes: Sequence[Prefix], behind: bytes, *, replace: bool, table: int = MAIN_TABLE
) -> Run:
    """Return the messages that install learned routes of one family with that `tail`.

    Without `replace` each fails with EEXIST beside any route of the same prefix and metric,
    ours or foreign; `replace` is only for routes seen to be ours (invariant 4).
    """
    flags = _REPLACE if replace else _ADD
    return _run(prefixes, RTM_NEWROUTE, flags, (table, _LEARNED, 0, _RTN_UNICAST, 0), behind)


def delete(prefixes: Sequence[Prefix], metric: int, table: int = MAIN_TABLE) -> Run:
    """Return the messages that delete the learned routes of one family with that metric.

    The protocol is part of the kernel's match, so a foreign route is never hit.
    """
    fields = (table, _LEARNED, _ANY_SCOPE, 0, 0)
    return _run(prefixes, RTM_DELROUTE, NLM_F_REQUEST, fields, u32(_RTA_PRIORITY, metric))


def _run(
    prefixes: Sequence[Prefix], kind: int, flags: int, fields: tuple[int, ...], behind: bytes
) -> Run:
    """Return a message for each prefix: one template, and what differs put into all at once."""
    family, network, length = prefixes[0]
    size = _SIZE[family]
    head = _HEAD[family]
    whole = head.size + len(behind)
    template = (
        head.pack(
            *(whole, kind, flags, 0, 0, _AF[family], length, 0, 0),
            *(*fields, 4 + size, _RTA_DST, network.to_bytes(size, "big")),
        )
        + behind
    )
    if len(prefixes) == 1:
        return Run(template, whole)
    data = repeated(template, len(prefixes))
    put_column(data, _DST_LENGTH_AT, whole, bytes(map(_LENGTH, prefixes)), 1)
    networks = map(_NETWORK, prefixes)
    if family == IPV4:
        packed = struct.pack(f">{len(prefixes)}I", *networks)
    else:
        packed = b"".join([number.to_bytes(size, "big") for number in networks])
    put_column(data, head.size - size, whole, packed, size)
    return Run(data, whole)


def write_unreachable(prefix: Prefix) -> bytes:
    """Return the message that installs `unreachable` for an own pod CIDR."""
    return _unreachable(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, prefix, 0)


def delete_unreachable(prefix: Prefix) -> bytes:
    """Return the message that deletes it."""
    return _unreachable(RTM_DELROUTE, 0, prefix, _ANY_SCOPE)


def _unreachable(kind: int, flags: int, prefix: Prefix, scope: int) -> bytes:
    family, network, length = prefix
    fields = (MAIN_TABLE, RouteProtocol.OWN_CIDR, scope, _RTN_UNREACHABLE, 0)
    return message(
        kind,
        flags,
        _RTMSG.pack(_AF[family], length, 0, 0, *fields),
        attribute(_RTA_DST, network.to_bytes(_SIZE[family], "big")),
        u32(_RTA_PRIORITY, OWN_CIDR_METRIC),
    )


def dump(family: int, protocol: int, table: int = MAIN_TABLE) -> bytes:
    """Return the request for one family's routes of one protocol in one table; 0 is every table.

    The kernel filters only on a socket with NETLINK_GET_STRICT_CHK (every Channel).
    """
    parts = [u32(_RTA_TABLE, table)] if table else []
    header = _RTMSG.pack(_AF[family], 0, 0, 0, table, protocol, 0, 0, 0)
    return message(RTM_GETROUTE, NLM_F_DUMP, header, *parts)


def table_of(payload: bytes) -> int:
    """Return the table of a route in an RTM_NEWROUTE payload."""
    found = attributes(payload, _RTMSG.size)
    return get_u32(found[_RTA_TABLE]) if _RTA_TABLE in found else payload[4]


def read(payload: bytes) -> Observed | None:
    """Return the route in an RTM_NEWROUTE payload, or None for a cached exception."""
    family, length, _, _, _, protocol, _, route_type, flags = _RTMSG.unpack_from(payload)
    if flags & _RTM_F_CLONED or family not in _FAMILY:
        return None
    found = attributes(payload, _RTMSG.size)
    return Observed(
        Prefix(_FAMILY[family], int.from_bytes(found.get(_RTA_DST, b""), "big"), length),
        protocol,
        route_type == _RTN_UNREACHABLE,
        Route(
            group=get_u32(found[_RTA_NH_ID]) if _RTA_NH_ID in found else 0,
            metric=get_u32(found[_RTA_PRIORITY]) if _RTA_PRIORITY in found else 0,
            source=int.from_bytes(found.get(_RTA_PREFSRC, b""), "big"),
            hops=_hops(_FAMILY[family], found) if route_type == _RTN_UNICAST else (),
        ),
    )


def _hops(family: int, found: dict[int, bytes]) -> Hops:
    """Return the next hops that a route carries; none if it is not as we would write it.

    Which leg is dead or without carrier (rtnh_flags) is not asked: it stands in the route all the
    same, and the kernel would use it again before any peer has said so.
    """
    if _RTA_NH_ID in found:
        # Beside it the kernel shows the group's next hops (nexthop_compat_mode).
        return ()
    if _RTA_MULTIPATH not in found:
        alone = _hop(family, get_u32(found.get(_RTA_OIF, bytes(4))), found)
        return (alone,) if alone is not None else ()
    hops: list[Hop | None] = []
    weights: set[int] = set()
    for weight, ifindex, inner in legs_in(found[_RTA_MULTIPATH]):
        hops.append(_hop(family, ifindex, inner))
        weights.add(weight)
    if None in hops or len(weights) != 1:
        return ()
    return tuple(sorted(hop for hop in hops if hop is not None))


def legs_in(multipath: bytes) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Yield weight less one, link's index and attributes of each next hop in an RTA_MULTIPATH."""
    offset = 0
    while offset + _RTNEXTHOP.size <= len(multipath):
        length, _, weight, ifindex = _RTNEXTHOP.unpack_from(multipath, offset)
        if length < _RTNEXTHOP.size:
            break
        inner = attributes(multipath[: offset + length], offset + _RTNEXTHOP.size)
        yield weight, ifindex, inner
        offset += (length + 3) & ~3


def _hop(family: int, ifindex: int, found: dict[int, bytes]) -> Hop | None:
    if not ifindex or _RTA_ENCAP in found:
        return None
    if _RTA_GATEWAY in found:
        return Hop(family, int.from_bytes(found[_RTA_GATEWAY], "big"), ifindex)
    via = found.get(_RTA_VIA, bytes(_RTVIA.size))
    (over,) = _RTVIA.unpack_from(via)
    if over not in _FAMILY:
        return None
    return Hop(_FAMILY[over], int.from_bytes(via[_RTVIA.size :], "big"), ifindex)
