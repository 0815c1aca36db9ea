"""Filters: what an operator says of paths, as values. PURE; `filtering` applies them.

A filter is a list of terms. Each term that matches adds its changes, and the first that accepts or
rejects ends it; a path that no term ends is accepted. Terms look at the path as it came: what an
earlier term changed is not seen by a later one, so the order of changes cannot surprise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bgp.accept_rule import AcceptRule, PolicyError
from bgp.nlri import Prefix

Community = tuple[int, int]
LargeCommunity = tuple[int, int, int]
MAX_PREPEND = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which paths a term is about: all that is given must hold, of each list any one.

    Nothing given matches every path.
    """

    prefixes: tuple[AcceptRule, ...] = ()
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    origin_asns: frozenset[int] = frozenset()
    """The AS where the path begins: the last one of it."""
    contains_asns: frozenset[int] = frozenset()
    as_path_length: tuple[int, int] | None = None
    """Shortest and longest, a set counts as one."""
    next_hops: tuple[Prefix, ...] = ()
    peers: frozenset[str] = frozenset()
    """Names of peers."""


class Action(StrEnum):
    """What becomes of a path that matches."""

    ACCEPT = "accept"
    REJECT = "reject"
    NEXT = "next"
    """Go on with the next term."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is changed of a path that matches."""

    add_communities: tuple[Community, ...] = ()
    remove_communities: frozenset[Community] = frozenset()
    add_large_communities: tuple[LargeCommunity, ...] = ()
    remove_large_communities: frozenset[LargeCommunity] = frozenset()
    local_preference: int | None = None
    """Import only; holds for external peers, too."""
    med: int | None = None
    """Export only."""
    prepend: int = 0
    """Export to external peers only."""


NO_CHANGE = Change()


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One rule. Raises PolicyError for a reason without a rejection."""

    match: Match = field(default_factory=Match)
    action: Action = Action.NEXT
    reason: str = ""
    """Why a path is rejected, in the operator's words."""
    change: Change = NO_CHANGE

    def __post_init__(self) -> None:
        if self.reason and self.action is not Action.REJECT:
            raise PolicyError("a reason is for action: reject only")
        if self.action is Action.REJECT and self.change != NO_CHANGE:
            raise PolicyError("a path that is rejected cannot be changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A named list of terms."""

    name: str
    terms: tuple[Term, ...]
