"""From wanted routes and the observed FIB to an ordered plan. PURE.

Order inside a plan: next hops, groups, routes, removals, then objects nothing uses any
more; so no route ever points at something that does not work yet, and none loses its
next hop before it has another.

A group keeps its id when *all* routes behind it want the same other set of next hops:
losing or regaining a ToR is then one message, whatever the number of routes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Final, NamedTuple

from bgp.nlri import Prefix
from router.model.fib import Fib, Hop, Hops, Route
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

FIRST_ID: Final = 0x7072_0000
"""Where our nexthop ids begin: far from the small numbers other daemons count from."""


class Want(NamedTuple):
    """What one prefix should look like in the FIB."""

    hops: Hops
    metric: int
    source: int


def plan_routes(
    fib: Fib, wanted: Mapping[Prefix, Want], dirty: Iterable[Prefix], *, keep: Set[Prefix]
) -> list[Operation]:
    """Return the operations that make the dirty prefixes as wanted.

    A dirty prefix that is not wanted is removed, unless it is in `keep`: routes found at
    start stay until the peers have told us everything (invariant 7).
    """
    planner = _Planner(fib)
    held_ones = _Held({group: fib.hops_of(group) for group in fib.groups}, keep)
    new: list[tuple[Prefix, Want]] = []
    for prefix in dirty:
        want = wanted.get(prefix)
        held = fib.routes.get(prefix)
        if held is not None:
            held_ones.compare(prefix, held, want)
        elif want is not None and want.hops:
            new.append((prefix, want))
    moved = planner.move_whole_groups(held_ones.moves)
    route_for, removed = planner.route_for, held_ones.removed
    routes: list[Operation] = [WriteRoute(prefix, route_for(want), False) for prefix, want in new]
    for prefix, want, held in held_ones.changed:
        if held.group in moved and want.hops == moved[held.group]:
            continue
        routes.append(WriteRoute(prefix, route_for(want), replace=held.metric == want.metric))
        if held.metric != want.metric:
            removed.append(DeleteRoute(prefix, held.metric))
    strays = [] if keep else [DeleteRoute(*stray) for stray in sorted(fib.strays)]
    return [*planner.objects, *routes, *removed, *strays]


class _Held:
    """The dirty prefixes that have a route, and how it differs from what is wanted."""

    def __init__(self, hops_of: Mapping[int, Hops], keep: Set[Prefix]) -> None:
        self._hops_of = hops_of
        self._keep = keep
        self.changed: list[tuple[Prefix, Want, Route]] = []
        self.removed: list[Operation] = []
        self.moves: dict[int, Counter[Hops]] = {}

    def compare(self, prefix: Prefix, held: Route, want: Want | None) -> None:
        if want is None or not want.hops:
            if prefix not in self._keep:
                self.removed.append(DeleteRoute(prefix, held.metric))
            return
        is_alike = (held.metric, held.source) == (want.metric, want.source)
        has_moved = self._hops_of.get(held.group) != want.hops
        if has_moved or not is_alike:
            self.changed.append((prefix, want, held))
        if has_moved and is_alike:
            self.moves.setdefault(held.group, Counter())[want.hops] += 1


def plan_unused(fib: Fib) -> list[Operation]:
    """Return the removal of groups without routes and of nexthops without groups.

    Deleting a group makes the kernel flush its routes, so call this only with a mirror
    that is in step.
    """
    used = {route.group for route in fib.routes.values()}
    groups = [group for group in fib.groups if group not in used]
    members = {m for group, held in fib.groups.items() if group in used for m in held}
    hops = [identifier for identifier in fib.nexthops if identifier not in members | used]
    return [DeleteNexthop(identifier) for identifier in [*sorted(groups), *sorted(hops)]]


def plan_prune(fib: Fib, dead: Callable[[Hop], bool]) -> list[Operation]:
    """Return the group writes that take dead next hops out at once, before any decision.

    A group left without members is not touched: its routes are for `plan_routes`.
    """
    gone = {identifier for identifier, hop in fib.nexthops.items() if dead(hop)}
    plan: list[Operation] = []
    for group, members in sorted(fib.groups.items()):
        left = tuple(m for m in members if m not in gone)
        if left and left != members:
            plan.append(WriteGroup(group, left))
    return plan


def plan_own(fib: Fib, own: frozenset[Prefix]) -> tuple[list[Operation], list[Operation]]:
    """Return (to write before announcing, to remove after withdrawing) for own pod CIDRs."""
    write = [WriteUnreachable(prefix) for prefix in sorted(own - fib.unreachables)]
    remove = [DeleteUnreachable(prefix) for prefix in sorted(fib.unreachables - own)]
    return list(write), list(remove)


class _Planner:
    """Hands out nexthop and group ids for one plan; collects the objects to write first."""

    def __init__(self, fib: Fib) -> None:
        self._fib = fib
        self._ids = self._free_ids()
        self._hop_ids = {hop: identifier for identifier, hop in sorted(fib.nexthops.items())}
        self._new_hops: list[WriteHop] = []
        self._groups: list[WriteGroup] = []
        self._group_ids: dict[Hops, int] = {}
        self._routes: dict[int, tuple[Want, Route]] = {}
        for group in sorted(fib.groups, reverse=True):
            self._group_ids[fib.hops_of(group)] = group

    @property
    def objects(self) -> list[Operation]:
        """Objects to write, next hops before the groups that use them."""
        return [*self._new_hops, *self._groups]

    def _free_ids(self) -> Iterator[int]:
        fib = self._fib
        identifier = FIRST_ID
        while True:
            if (
                identifier not in fib.nexthops
                and identifier not in fib.groups
                and identifier not in fib.foreign_ids
            ):
                yield identifier
            identifier += 1

    def _members(self, hops: Hops) -> tuple[int, ...]:
        for hop in hops:
            if hop not in self._hop_ids:
                self._hop_ids[hop] = next(self._ids)
                self._new_hops.append(WriteHop(self._hop_ids[hop], hop))
        return tuple(sorted(self._hop_ids[hop] for hop in hops))

    def group_for(self, hops: Hops) -> int:
        """Return a group with exactly these next hops, planning a new one if need be."""
        known = self._group_ids.get(hops)
        if known is None:
            members = self._members(hops)
            known = self._group_ids[hops] = next(self._ids)
            self._groups.append(WriteGroup(known, members))
        return known

    def route_for(self, want: Want) -> Route:
        """Return the route that a want means; most prefixes share theirs, and the object, too."""
        kept = self._routes.get(id(want))
        if kept is None:
            route = Route(self.group_for(want.hops), want.metric, want.source)
            # The want is kept with it, so that its id stays its own.
            kept = self._routes[id(want)] = (want, route)
        return kept[1]

    def move_whole_groups(self, moves: Mapping[int, Counter[Hops]]) -> dict[int, Hops]:
        """Give a group new members when every route behind it wants the same ones."""
        moved: dict[int, Hops] = {}
        if not moves:
            return moved
        users = Counter(route.group for route in self._fib.routes.values())
        for group, targets in sorted(moves.items()):
            if group not in self._fib.groups or len(targets) != 1:
                continue
            ((hops, count),) = targets.items()
            if count == users[group]:
                before = self._fib.hops_of(group)
                if self._group_ids.get(before) == group:
                    del self._group_ids[before]
                self._groups.append(WriteGroup(group, self._members(hops)))
                self._group_ids[hops] = group
                moved[group] = hops
        return moved
