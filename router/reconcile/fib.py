"""From wanted routes and the observed FIB to an ordered plan. PURE.

Order inside a plan: next hops, groups, routes, removals, then objects nothing uses any
more; so no route ever points at something that does not work yet, and none loses its
next hop before it has another.

How a route says where it leads is the matter of `router.reconcile.form` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Set

from bgp.nlri import Prefix
from router.model.fib import Fib, Form, Hop, Hops, Route
from router.reconcile.form import GROUP, Want, writer_of
from router.reconcile.operation import (
    DeleteNexthop,
    DeleteRoutes,
    DeleteUnreachable,
    Operation,
    WriteGroup,
    WriteRoutes,
    WriteUnreachable,
)


def plan_routes(
    fib: Fib,
    wanted: Mapping[Prefix, Want],
    dirty: Collection[Prefix],
    *,
    keep: Set[Prefix],
    form: Form = Form.OBJECTS,
) -> list[Operation]:
    """Return the operations that make the dirty prefixes as wanted, in this form.

    A dirty prefix that is not wanted is removed, unless it is in `keep`: routes found at
    start stay until the peers have told us everything (invariant 7).
    """
    writer = writer_of(form, fib)
    held_ones = _Held(fib, form, keep)
    new: list[tuple[Want, list[Prefix]]] = []
    for want, held, prefixes in _cases(fib, wanted, dirty):
        if held is not None:
            held_ones.compare(prefixes, held, want)
        elif want is not None and want.hops:
            new.append((want, prefixes))
    moved = writer.move_whole_groups(held_ones.moves)
    route_for, removed = writer.route_for, held_ones.removed
    routes: list[Operation] = [WriteRoutes(some, route_for(want), False) for want, some in new]
    for prefixes, want, held in held_ones.changed:
        if held.group in moved and want.hops == moved[held.group]:
            continue
        routes.append(WriteRoutes(prefixes, route_for(want), replace=held.metric == want.metric))
        if held.metric != want.metric:
            removed.append(DeleteRoutes(prefixes, held.metric))
    strays = () if keep else sorted(fib.strays)
    removed += [DeleteRoutes((prefix,), metric) for prefix, metric in strays]
    return [*writer.objects, *routes, *removed]


def _cases(
    fib: Fib, wanted: Mapping[Prefix, Want], dirty: Collection[Prefix]
) -> Iterator[tuple[Want | None, Route | None, list[Prefix]]]:
    """Give the dirty prefixes together that want the same and have the same.

    By identity: wants and routes are shared by all that are alike, and a full table is looked
    through without a line of Python for each prefix but the one that sorts it in.
    """
    wants = list(map(wanted.get, dirty))
    helds = list(map(fib.routes.get, dirty))
    cases: dict[tuple[int, int, int], tuple[Want | None, Route | None, list[Prefix]]] = {}
    for prefix, want, held in zip(dirty, wants, helds, strict=True):
        key = prefix[0], id(want), id(held)
        known = cases.get(key)
        if known is None:
            cases[key] = want, held, [prefix]
        else:
            known[2].append(prefix)
    yield from cases.values()


class _Held:
    """The dirty prefixes that have a route, and how it differs from what is wanted."""

    def __init__(self, fib: Fib, form: Form, keep: Set[Prefix]) -> None:
        self._behind = {group: fib.hops_behind(group) for group in fib.groups}
        self._form = form
        self._keep = keep
        self.changed: list[tuple[list[Prefix], Want, Route]] = []
        self.removed: list[Operation] = []
        self.moves: dict[int, Counter[Hops]] = {}

    def compare(self, prefixes: list[Prefix], held: Route, want: Want | None) -> None:
        if want is None or not want.hops:
            gone = [p for p in prefixes if p not in self._keep] if self._keep else prefixes
            if gone:
                self.removed.append(DeleteRoutes(gone, held.metric))
            return
        is_alike = held[1:3] == want[1:3] and held.form is self._form
        hops = self._behind.get(held.group) if held.group else held.hops
        has_moved = hops != want.hops
        if has_moved or not is_alike:
            self.changed.append((prefixes, want, held))
        if has_moved and is_alike:
            self.moves.setdefault(held.group, Counter())[want.hops] += len(prefixes)


def plan_unused(fib: Fib) -> list[Operation]:
    """Return the removal of groups without routes and of nexthops without groups.

    Deleting a group makes the kernel flush its routes, so call this only with a mirror
    that is in step.
    """
    used = set(map(GROUP, fib.routes.values()))
    groups = [group for group in fib.groups if group not in used]
    members = {m for group, held in fib.groups.items() if group in used for m in held}
    hops = [identifier for identifier in fib.nexthops if identifier not in members | used]
    return [DeleteNexthop(identifier) for identifier in [*sorted(groups), *sorted(hops)]]


def plan_prune(fib: Fib, dead: Callable[[Hop], bool], form: Form = Form.OBJECTS) -> list[Operation]:
    """Return the writes that take dead next hops out at once, before any decision.

    A group or route left without next hops is not touched: it is for `plan_routes`.
    """
    gone = {identifier for identifier, hop in fib.nexthops.items() if dead(hop)}
    plan: list[Operation] = []
    for group, members in sorted(fib.groups.items()):
        left = tuple(m for m in members if m not in gone)
        if left and left != members:
            plan.append(WriteGroup(group, left))
    if form is Form.PLAIN:
        plan += _pruned_routes(fib, dead)
    return plan


def _pruned_routes(fib: Fib, dead: Callable[[Hop], bool]) -> list[WriteRoutes]:
    behind: dict[tuple[Route, int], list[Prefix]] = {}
    for prefix, route in fib.routes.items():
        behind.setdefault((route, prefix.family), []).append(prefix)
    plan: list[WriteRoutes] = []
    for (route, _), prefixes in behind.items():
        left = tuple(hop for hop in route.hops if not dead(hop))
        if left and left != route.hops:
            plan.append(WriteRoutes(prefixes, route._replace(hops=left), True))
    return plan


def plan_own(fib: Fib, own: frozenset[Prefix]) -> tuple[list[Operation], list[Operation]]:
    """Return (to write before announcing, to remove after withdrawing) for own pod CIDRs."""
    write = [WriteUnreachable(prefix) for prefix in sorted(own - fib.unreachables)]
    remove = [DeleteUnreachable(prefix) for prefix in sorted(fib.unreachables - own)]
    return list(write), list(remove)
