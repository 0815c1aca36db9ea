"""The operations a plan is made of. PURE.

Each says in one line what it does: that line is what dry runs, logs and tests show.
"""

from __future__ import annotations

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


class WriteRoute(NamedTuple):
    """Install a learned route; `replace` only over one seen to be ours."""

    prefix: Prefix
    route: Route
    replace: bool

    def describe(self) -> str:
        """Return the operation in one line."""
        verb = "replace" if self.replace else "install"
        route = self.route
        way = f"nhid {route.group}" if route.group else f"via {', '.join(map(str, route.hops))}"
        return f"{verb} {self.prefix} {way} metric {route.metric}"


class DeleteRoute(NamedTuple):
    """Remove a learned route."""

    prefix: Prefix
    metric: int

    def describe(self) -> str:
        """Return the operation in one line."""
        return f"remove {self.prefix} metric {self.metric}"


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


Operation = (
    WriteHop
    | WriteGroup
    | DeleteNexthop
    | WriteRoute
    | DeleteRoute
    | WriteUnreachable
    | DeleteUnreachable
)


def record(fib: Fib, operation: Operation) -> None:
    """Bring the mirror in step with an operation the kernel accepted."""
    # By far the most operations are these; a class pattern takes far longer.
    if isinstance(operation, WriteRoute):
        fib.routes[operation[0]] = operation[1]
        return
    if isinstance(operation, DeleteRoute):
        held = fib.routes.get(operation[0])
        if held is not None and held[1] == operation[1]:
            del fib.routes[operation[0]]
        if fib.strays:
            fib.strays.discard((operation[0], operation[1]))
        return
    match operation:
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
