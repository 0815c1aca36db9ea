"""The operations a plan is made of. PURE.

Each says in one line what it does: that line is what dry runs, logs and tests show. Routes that
differ in nothing but the destination are one operation: a full table is a handful of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

from bgp.nlri import Prefix
from router.model.fib import Fib, Hop, Route


class WriteHop(NamedTuple):
    """Create or replace a nexthop object."""

    id: int
    hop: Hop

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"nexthop {self.id}: {self.hop}"


class WriteGroup(NamedTuple):
    """Create a nexthop group or replace its members."""

    id: int
    members: tuple[int, ...]

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"nexthop group {self.id}: {'/'.join(map(str, self.members))}"


class DeleteNexthop(NamedTuple):
    """Delete a nexthop object or group that no route uses."""

    id: int

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"delete nexthop {self.id}"


class WriteRoutes(NamedTuple):
    """Install learned routes that differ in their destination only.

    `replace` only over ones seen to be ours.
    """

    prefixes: Sequence[Prefix]
    """Of one family; a default route stands alone."""
    route: Route
    replace: bool

    def describe(self) -> str:
        """Return the operation in one line."""
        verb = "replace" if self.replace else "install"
        route = self.route
        way = f"nhid {route.group}" if route.group else f"via {', '.join(map(str, route.hops))}"
        return f"{verb} {_named(self.prefixes)} {way} metric {route.metric}"


class DeleteRoutes(NamedTuple):
    """Remove learned routes."""

    prefixes: Sequence[Prefix]
    """Of one family; a default route stands alone."""
    metric: int

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"remove {_named(self.prefixes)} metric {self.metric}"


def _named(prefixes: Sequence[Prefix]) -> str:
    more = len(prefixes) - 1
    return f"{prefixes[0]}" + (f" and {more} more" if more else "")


class WriteUnreachable(NamedTuple):
    """Install `unreachable` for an own pod CIDR."""

    prefix: Prefix

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"install unreachable {self.prefix}"


class DeleteUnreachable(NamedTuple):
    """Remove the `unreachable` route of a former own pod CIDR."""

    prefix: Prefix

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"remove unreachable {self.prefix}"


ObjectOperation = WriteHop | WriteGroup | DeleteNexthop | WriteUnreachable | DeleteUnreachable
Operation = ObjectOperation | WriteRoutes | DeleteRoutes


def each(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Give the same operations, one for each route."""
    for operation in operations:
        if isinstance(operation, WriteRoutes | DeleteRoutes):
            for prefix in operation.prefixes:
                yield operation._replace(prefixes=(prefix,))
        else:
            yield operation


def routes_in(operations: Iterable[Operation]) -> int:
    """Count the routes that these operations write or remove."""
    return sum(len(o.prefixes) for o in operations if isinstance(o, WriteRoutes | DeleteRoutes))


def without(plan: Iterable[Operation], refused: Iterable[Operation]) -> list[Operation]:
    """Return the plan without what was refused, which is told one route at a time."""
    routes: dict[object, set[Prefix]] = {}
    others: list[Operation] = []
    for operation in refused:
        if isinstance(operation, WriteRoutes | DeleteRoutes):
            routes.setdefault(_alike(operation), set()).update(operation.prefixes)
        else:
            others.append(operation)
    done: list[Operation] = []
    for operation in plan:
        if isinstance(operation, WriteRoutes | DeleteRoutes):
            gone = routes.get(_alike(operation), ())
            left = [prefix for prefix in operation.prefixes if prefix not in gone]
            if left:
                done.append(operation._replace(prefixes=left))
        elif not any(operation is other for other in others):
            done.append(operation)
    return done


def _alike(operation: WriteRoutes | DeleteRoutes) -> object:
    """Return what tells operations apart beside their destinations."""
    return type(operation), *operation[1:]


def record(fib: Fib, operation: Operation) -> None:
    """Bring the mirror in step with an operation the kernel accepted."""
    match operation:
        case WriteRoutes(prefixes, route, _):
            fib.routes.update(zip(prefixes, repeat(route), strict=False))
        case DeleteRoutes(prefixes, metric):
            _forget(fib, prefixes, metric)
        case WriteHop(identifier, hop):
            fib.nexthops[identifier] = hop
        case WriteGroup(identifier, members):
            fib.groups[identifier] = members
        case DeleteNexthop(identifier):
            fib.nexthops.pop(identifier, None)
            fib.groups.pop(identifier, None)
        case WriteUnreachable(prefix):
            fib.unreachables.add(prefix)
        case DeleteUnreachable(prefix):
            fib.unreachables.discard(prefix)


def _forget(fib: Fib, prefixes: Sequence[Prefix], metric: int) -> None:
    routes = fib.routes
    for prefix in prefixes:
        held = routes.get(prefix)
        if held is not None and held.metric == metric:
            del routes[prefix]
    if fib.strays:
        fib.strays.difference_update(zip(prefixes, repeat(metric), strict=False))
