"""How our table of unused Services' addresses becomes what it shall be. PURE."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from bgp.nlri import Prefix
from router.model.aggregate import Rejections


class RejectionPlan(NamedTuple):
    """One transaction."""

    remove_table: bool = False
    make_table: bool = False
    """After the removal, where there is one."""
    add: tuple[Prefix, ...] = ()
    remove: tuple[Prefix, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return self == RejectionPlan()

    def describe(self) -> str:
        """Return the plan in words."""
        words = [
            *(["remove the table"] if self.remove_table else []),
            *(["make the table"] if self.make_table else []),
            *(f"reject unused addresses of {prefix}" for prefix in self.add),
            *(f"reject nothing of {prefix}" for prefix in self.remove),
        ]
        return ", ".join(words)


def plan_rejections(found: Rejections, wanted: Set[Prefix]) -> RejectionPlan:
    """Return the way to rejecting what is unused of `wanted`; no table where that is nothing.

    A table that somebody has changed is made anew. Of prefixes inside each other the longer one is
    left out: intervals in a set do not overlap.
    """
    if not wanted:
        return RejectionPlan(remove_table=found.exists)
    outer = _outermost(wanted)
    if not found.is_whole:
        return RejectionPlan(remove_table=found.exists, make_table=True, add=tuple(sorted(outer)))
    return RejectionPlan(
        add=tuple(sorted(outer - found.prefixes)), remove=tuple(sorted(found.prefixes - outer))
    )


def _outermost(prefixes: Set[Prefix]) -> frozenset[Prefix]:
    """Return those that lie in no other; sorted, what covers comes right before what it covers."""
    found: list[Prefix] = []
    for prefix in sorted(prefixes):
        if not found or not found[-1].covers(prefix):
            found.append(prefix)
    return frozenset(found)
