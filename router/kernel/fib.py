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
from router.model.fib import Fib, Hop
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One operation the kernel did not carry out."""

    operation: Operation
    errno: int
    detail: str


class FibTable:
    """The kernel's tables of the namespace this was opened in."""

    def __init__(self, channel: Channel) -> None:
        """Use an open channel; closing it stays the caller's duty."""
        self._channel = channel

    @property
    def port_id(self) -> int:
        """The netlink port that notifications of our own writes carry."""
        return self._channel.port_id

    def observe(self) -> Fib:
        """Return everything of ours. Raises KernelError."""
        fib = Fib()
        self._observe_nexthops(fib)
        for family in (IPV4, IPV6):
            for protocol in (RouteProtocol.LEARNED, RouteProtocol.OWN_CIDR):
                self._observe_routes(fib, family, protocol)
        return fib

    def _observe_nexthops(self, fib: Fib) -> None:
        foreign: set[int] = set()
        for _, payload in self._channel.dump(nexthop_wire.dump_all(), "list nexthop objects"):
            seen = nexthop_wire.read(payload)
            if seen.protocol != RouteProtocol.LEARNED:
                foreign.add(seen.id)
            elif seen.hop is not None:
                fib.nexthops[seen.id] = seen.hop
            else:
                fib.groups[seen.id] = seen.members
        fib.foreign_ids = frozenset(foreign)

    def _observe_routes(self, fib: Fib, family: int, protocol: RouteProtocol) -> None:
        what = f"list IPv{family} routes of protocol {protocol.value}"
        try:
            listed = self._channel.dump(route_wire.dump(family, protocol), what)
        except KernelError as error:
            # The main table is made with its first route (fib_new_table, net/ipv4).
            if error.errno == errno.ENOENT:
                return
            raise
        for _, payload in listed:
            seen = route_wire.read(payload)
            # Kernels before 4.20 ignore the filter; never trust it with ownership.
            if seen is None or seen.protocol != protocol:
                continue
            metric = seen.route.metric
            if protocol is RouteProtocol.OWN_CIDR:
                if seen.unreachable and metric == OWN_CIDR_METRIC:
                    fib.unreachables.add(seen.prefix)
            elif seen.route.group and metric == _metric(seen.prefix.length):
                fib.routes[seen.prefix] = seen.route
            else:
                fib.strays.add((seen.prefix, metric))

    def apply(self, plan: Sequence[Operation]) -> list[Refusal]:
        """Carry out a plan in order; return what the kernel refused.

        Removing what is already gone counts as done. Raises KernelError when the outcome
        is unknown: observe again.
        """
        failures = self._channel.batch([_pack(operation) for operation in plan], "write the FIB")
        return [
            Refusal(operation=plan[f.index], errno=f.errno, detail=f.detail)
            for f in failures
            if not (f.errno in _ALREADY_GONE and _is_removal(plan[f.index]))
        ]


def _metric(length: int) -> int:
    return LEARNED_METRIC if length else LEARNED_DEFAULT_METRIC


def _is_removal(operation: Operation) -> bool:
    return isinstance(operation, DeleteRoute | DeleteNexthop | DeleteUnreachable)


def _pack(operation: Operation) -> bytes:
    # By far the most operations are these; a class pattern takes far longer.
    if isinstance(operation, WriteRoute):
        return route_wire.write(operation[0], operation[1], replace=operation[2])
    match operation:
        case DeleteRoute(prefix, metric):
            return route_wire.delete(prefix, metric)
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
