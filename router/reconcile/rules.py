"""Which rules lead to our routing table. PURE."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from bgp.nlri import BITS
from router.model.place import MAIN_TABLE, Place, Rule


class RulePlan(NamedTuple):
    """What to add and what to remove, in order."""

    add: tuple[Rule, ...]
    remove: tuple[Rule, ...]


def wanted_rules(place: Place) -> frozenset[Rule]:
    """Return the rules for a place: none for the main table."""
    if place.table == MAIN_TABLE:
        return frozenset()
    return frozenset(Rule(family, place.priority, place.table) for family in BITS)


def plan_rules(found: Set[Rule], place: Place, *, keep_others: bool) -> RulePlan:
    """Return the way from the rules with our mark to those that are wanted.

    `keep_others`: routes of the time before may still be needed (invariant 7).
    """
    wanted = wanted_rules(place)
    others = frozenset() if keep_others else found - wanted
    return RulePlan(tuple(sorted(wanted - found)), tuple(sorted(others)))
