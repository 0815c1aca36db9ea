"""The two forms of a learned route: (prefix, set of next hops) to what the kernel is given. PURE.

Through objects, a group keeps its id when *all* routes behind it want the same other set of
next hops: losing or regaining a ToR is then one message, whatever the number of routes. In the
plain form each route is written anew (ADR 0125).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Final, NamedTuple, Protocol

from router.model.fib import Fib, Form, Hops, Route
from router.reconcile.operation import Operation, WriteGroup, WriteHop

GROUP: Final = attrgetter("group")
FIRST_ID: Final = 0x7072_0000
"""Where our nexthop ids begin: far from the small numbers other daemons count from."""


class Want(NamedTuple):
    """What one prefix should look like in the FIB."""

    hops: Hops
    metric: int
    source: int


class FormWriter(Protocol):
    """What a plan needs to know of a form; one for each plan."""

    @property
    def objects(self) -> list[Operation]:
        """What has to be written before any route."""

    def route_for(self, want: Want) -> Route:
        """Return the route that a want means; equal wants share the object."""

    def move_whole_groups(self, moves: Mapping[int, Counter[Hops]]) -> dict[int, Hops]:
        """Return the groups that all their routes move with: these need no message."""


def writer_of(form: Form, fib: Fib) -> FormWriter:
    """Return the writer of a form, for one plan."""
    return _ThroughObjects(fib) if form is Form.OBJECTS else _Plain()


class _Plain:
    """Next hops stand in each route; there is nothing to write before."""

    def __init__(self) -> None:
        self._routes: dict[int, tuple[Want, Route]] = {}

    @property
    def objects(self) -> list[Operation]:
        return []

    def route_for(self, want: Want) -> Route:
        kept = self._routes.get(id(want))
        if kept is None:
            # The want is kept with it, so that its id stays its own.
            kept = (want, Route(0, want.metric, want.source, want.hops))
            self._routes[id(want)] = kept
        return kept[1]

    def move_whole_groups(self, moves: Mapping[int, Counter[Hops]]) -> dict[int, Hops]:
        return {}


class _ThroughObjects:
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
            self._group_ids[fib.hops_behind(group)] = group

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

    def _group_for(self, hops: Hops) -> int:
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
            route = Route(self._group_for(want.hops), want.metric, want.source)
            # The want is kept with it, so that its id stays its own.
            kept = self._routes[id(want)] = (want, route)
        return kept[1]

    def move_whole_groups(self, moves: Mapping[int, Counter[Hops]]) -> dict[int, Hops]:
        """Give a group new members when every route behind it wants the same ones."""
        moved: dict[int, Hops] = {}
        if not moves:
            return moved
        users = Counter(map(GROUP, self._fib.routes.values()))
        for group, targets in sorted(moves.items()):
            if group not in self._fib.groups or len(targets) != 1:
                continue
            ((hops, count),) = targets.items()
            if count == users[group]:
                before = self._fib.hops_behind(group)
                if self._group_ids.get(before) == group:
                    del self._group_ids[before]
                self._groups.append(WriteGroup(group, self._members(hops)))
                self._group_ids[hops] = group
                moved[group] = hops
        return moved
