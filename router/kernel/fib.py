"""Read and write our forwarding state. SHELL: translates, calls, translates back."""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from bgp.nlri import IPV4, IPV6, Prefix
from router.kernel import nexthop as nexthop_wire
from router.kernel import route as route_wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.protocols import (
    LEARNED_DEFAULT_METRIC,
    LEARNED_METRIC,
    OWN_CIDR_METRIC,
    RouteProtocol,
)
from router.kernel.runs import Run
from router.model.fib import Fib, Hop, Route
from router.model.place import MAIN, MAIN_TABLE, Place
from router.reconcile.operation import (
    DeleteNexthop,
    DeleteRoutes,
    DeleteUnreachable,
    ObjectOperation,
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoutes,
    WriteUnreachable,
)

_ALREADY_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT})
_PIECE: Final = 1024
"""Routes packed at a time: a full table's messages would be 5 MB at once."""
_PASSES: Final = 16
_FIRST: Final = itemgetter(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One operation the kernel did not carry out."""

    operation: Operation
    errno: int
    detail: str


class FibTable:
    """The kernel's tables of the namespace this was opened in."""

    def __init__(self, channel: Channel, place: Place = MAIN) -> None:
        """Use an open channel; closing it stays the caller's duty."""
        self._channel = channel
        self._place = place
        self._looked = False
        self._elsewhere: set[int] = set()
        """Groups of routes that an agent with another setting left in another table."""

    @property
    def port_id(self) -> int:
        """The netlink port that notifications of our own writes carry."""
        return self._channel.port_id

    def observe(self) -> Fib:
        """Return everything of ours. Raises KernelError."""
        fib = Fib()
        self._observe_nexthops(fib)
        for family in (IPV4, IPV6):
            self._observe_routes(fib, family, RouteProtocol.OWN_CIDR, MAIN_TABLE)
            # The first look is at all tables (0): it costs nothing more.
            for table in sorted({self._place.table, MAIN_TABLE}) if self._looked else (0,):
                self._observe_routes(fib, family, RouteProtocol.LEARNED, table)
        self._looked = True
        self._reserve(fib)
        return fib

    def _reserve(self, fib: Fib) -> None:
        """Leave alone what routes in another table use, until they go (invariant 7)."""
        for group in self._elsewhere & fib.groups.keys():
            members = fib.groups.pop(group)
            for member in members:
                fib.nexthops.pop(member, None)
            fib.foreign_ids |= {group, *members}

    def remove_elsewhere(self) -> int:
        """Remove learned routes from every table where they do not belong; return how many.

        They are of a time with another setting. Raises KernelError.
        """
        requests = []
        for family in (IPV4, IPV6):
            what = f"list IPv{family} routes of every table"
            request = route_wire.dump(family, RouteProtocol.LEARNED, 0)
            for _, payload in self._channel.dump(request, what):
                seen, table = route_wire.read(payload), route_wire.table_of(payload)
                if seen is None or seen.protocol != RouteProtocol.LEARNED:
                    continue
                if table != self._place.table_of(seen.prefix.length):
                    requests.append(route_wire.delete((seen.prefix,), seen.route.metric, table))
        failures = self._channel.stream(requests, "remove routes from other tables")
        self._elsewhere.clear()
        return len(requests) - len(failures)

    def _observe_nexthops(self, fib: Fib) -> None:
        foreign: set[int] = set()
        try:
            listed = self._channel.dump(nexthop_wire.dump_all(), "list nexthop objects")
        except KernelError as error:
            # A kernel without them has none; who writes some all the same is told so.
            if error.errno != errno.EOPNOTSUPP:
                raise
            listed = []
        for _, payload in listed:
            seen = nexthop_wire.read(payload)
            if seen.protocol != RouteProtocol.LEARNED:
                foreign.add(seen.id)
            elif seen.hop is not None:
                fib.nexthops[seen.id] = seen.hop
            else:
                fib.groups[seen.id] = seen.members
        fib.foreign_ids = frozenset(foreign)

    def _observe_routes(self, fib: Fib, family: int, protocol: RouteProtocol, table: int) -> None:
        what = f"list IPv{family} routes of protocol {protocol.value}"
        try:
            listed = self._channel.dump(route_wire.dump(family, protocol, table), what)
        except KernelError as error:
            # A table is made with its first route (fib_new_table, net/ipv4).
            if error.errno == errno.ENOENT:
                return
            raise
        alike: dict[Route, Route] = {}
        for _, payload in listed:
            seen = route_wire.read(payload)
            # Kernels before 4.20 ignore the filter; never trust it with ownership.
            if seen is None or seen.protocol != protocol:
                continue
            belongs = self._place.table_of(seen.prefix.length)
            if protocol is RouteProtocol.LEARNED and route_wire.table_of(payload) != belongs:
                self._elsewhere |= {seen.route.group} if table == 0 else set()
                continue
            metric = seen.route.metric
            if protocol is RouteProtocol.OWN_CIDR:
                if seen.unreachable and metric == OWN_CIDR_METRIC:
                    fib.unreachables.add(seen.prefix)
            elif metric == _metric(seen.prefix.length):
                fib.routes[seen.prefix] = alike.setdefault(seen.route, seen.route)
            else:
                fib.strays.add((seen.prefix, metric))

    def apply(self, plan: Sequence[Operation]) -> list[Refusal]:
        """Carry out a plan in order; return what the kernel refused, one route at a time.

        Removing what is already gone counts as done. Raises KernelError when the outcome
        is unknown: observe again.
        """
        sent: list[tuple[int, Operation]] = []
        failures = self._channel.stream(self._runs(plan, sent), "write the FIB")
        refusals: list[Refusal] = []
        for failure in failures:
            first, operation = sent[bisect_right(sent, failure.index, key=_FIRST) - 1]
            if isinstance(operation, WriteRoutes | DeleteRoutes):
                prefix = operation.prefixes[failure.index - first]
                operation = operation._replace(prefixes=(prefix,))
            if not (failure.errno in _ALREADY_GONE and _is_removal(operation)):
                refusals.append(
                    Refusal(operation=operation, errno=failure.errno, detail=failure.detail)
                )
        return refusals

    def _runs(self, plan: Sequence[Operation], sent: list[tuple[int, Operation]]) -> Iterator[Run]:
        """Give the messages, and note in `sent` which operation begins with which of them."""
        count = 0
        for operation in plan:
            if isinstance(operation, WriteRoutes | DeleteRoutes):
                spread = operation._replace(prefixes=_spread(operation.prefixes))
                sent.append((count, spread))
                count += len(spread.prefixes)
                yield from self._pack_routes(spread)
            else:
                sent.append((count, operation))
                count += 1
                packed = _pack(operation)
                yield Run(packed, len(packed))

    def _pack_routes(self, operation: WriteRoutes | DeleteRoutes) -> Iterator[Run]:
        prefixes = operation.prefixes
        family, _, length = prefixes[0]
        table = self._place.table_of(length)
        behind = b""
        if isinstance(operation, WriteRoutes):
            behind = route_wire.tail(family, operation.route)
        for start in range(0, len(prefixes), _PIECE):
            some = prefixes[start : start + _PIECE]
            if isinstance(operation, WriteRoutes):
                yield route_wire.write(some, behind, replace=operation.replace, table=table)
            else:
                yield route_wire.delete(some, operation.metric, table)


def _spread(prefixes: Sequence[Prefix]) -> Sequence[Prefix]:
    """Return many in an order that suits the kernel.

    One behind the other, IPv4's trie is resized all the time (resize in net/ipv4/fib_trie.c):
    100,000 in 16 passes are written in 3/4 of the time and removed in less than half of it. IPv6's
    tree is fastest in order.
    """
    if len(prefixes) < _PIECE or prefixes[0].family != IPV4:
        return prefixes
    return [prefix for first in range(_PASSES) for prefix in prefixes[first::_PASSES]]


def _pack(operation: ObjectOperation) -> bytes:
    match operation:
        case WriteHop(identifier, Hop() as hop):
            return nexthop_wire.write_hop(identifier, hop)
        case WriteGroup(identifier, members):
            return nexthop_wire.write_group(identifier, members)
        case DeleteNexthop(identifier):
            return nexthop_wire.delete(identifier)
        case WriteUnreachable(prefix):
            return route_wire.write_unreachable(prefix)
        case DeleteUnreachable(prefix):
            return route_wire.delete_unreachable(prefix)


def _metric(length: int) -> int:
    return LEARNED_METRIC if length else LEARNED_DEFAULT_METRIC


def _is_removal(operation: Operation) -> bool:
    return isinstance(operation, DeleteRoutes | DeleteNexthop | DeleteUnreachable)
