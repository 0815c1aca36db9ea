"""Read and write our forwarding state. SHELL: translates, calls, translates back."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bgp.nlri import IPV4, IPV6
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
from router.model.fib import Fib, Hop, Route
from router.model.place import MAIN, MAIN_TABLE, Place
from router.reconcile.operation import (
    DeleteNexthop,
    DeleteRoute,
    DeleteUnreachable,
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoute,
    WriteUnreachable,
)

_ALREADY_GONE: Final = frozenset({errno.ESRCH, errno.ENOENT})
_PIECE: Final = 4096
"""Operations packed at a time: a full table's messages would be 15 MB at once."""


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
        self._table = place.table
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
                    requests.append(route_wire.delete(seen.prefix, seen.route.metric, table))
        failures = self._channel.batch(requests, "remove routes from other tables")
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
        """Carry out a plan in order; return what the kernel refused.

        Removing what is already gone counts as done. Raises KernelError when the outcome
        is unknown: observe again.
        """
        refusals: list[Refusal] = []
        tails: dict[tuple[int, int], bytes] = {}
        for start in range(0, len(plan), _PIECE):
            piece = plan[start : start + _PIECE]
            requests = [self._pack(operation, tails) for operation in piece]
            refusals += [
                Refusal(operation=piece[f.index], errno=f.errno, detail=f.detail)
                for f in self._channel.batch(requests, "write the FIB")
                if not (f.errno in _ALREADY_GONE and _is_removal(piece[f.index]))
            ]
        return refusals

    def _pack(self, operation: Operation, tails: dict[tuple[int, int], bytes]) -> bytes:
        # By far the most operations are these; a class pattern takes far longer.
        if isinstance(operation, WriteRoute):
            prefix, route, replace = operation
            # The plan keeps the route, so its id stays its own.
            key = (id(route), prefix[0])
            behind = tails.get(key)
            if behind is None:
                behind = tails[key] = route_wire.tail(prefix[0], route)
            return route_wire.write(
                prefix, behind, replace=replace, table=self._table if prefix[2] else MAIN_TABLE
            )
        if isinstance(operation, DeleteRoute):
            prefix, metric = operation
            return route_wire.delete(prefix, metric, self._place.table_of(prefix[2]))
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
    return isinstance(operation, DeleteRoute | DeleteNexthop | DeleteUnreachable)
