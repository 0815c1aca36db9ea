"""What `podroute uninstall` removes from a node. PURE.

Only what carries our marks (invariant 4). A pod that still lives keeps its link and whatever
its packets need, unless the operator says otherwise: so then nothing is removed at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from router.model.fib import Fib
from router.reconcile.operation import DeleteNexthop, DeleteRoutes, DeleteUnreachable, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLink:
    """A link of ours that was found."""

    index: int
    name: str
    condemned: bool = False
    """Its removal had begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxes:
    """What the runtime's directory of network namespaces says."""

    known: bool
    """False: there is no such directory, or nothing in it is a namespace."""
    absent: frozenset[int] = frozenset()
    """Indexes of links whose sandbox has no file there."""


def living(links: Iterable[PodLink], sandboxes: Sandboxes) -> tuple[PodLink, ...]:
    """Return the links that may belong to living pods.

    Where the directory says nothing, every link may.
    """
    return tuple(
        link
        for link in links
        if not link.condemned and not (sandboxes.known and link.index in sandboxes.absent)
    )


def plan_fib_removal(fib: Fib) -> tuple[Operation, ...]:
    """Return the removal of all routes, then of the objects they used, groups first."""
    routes = fib.strays | {(prefix, route.metric) for prefix, route in fib.routes.items()}
    return (
        *(DeleteRoutes((prefix,), metric) for prefix, metric in sorted(routes)),
        *(DeleteUnreachable(prefix) for prefix in sorted(fib.unreachables)),
        *(DeleteNexthop(identifier) for identifier in sorted(fib.groups)),
        *(DeleteNexthop(identifier) for identifier in sorted(fib.nexthops)),
    )
