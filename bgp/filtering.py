"""Apply filters to paths and to announcements. PURE.

What depends on the attributes is decided once for all prefixes that share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple, TypeVar

from bgp.export import Export, with_prepends
from bgp.filter import Action, Change, Filter, Match, Term
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer import PeerSettings

C = TypeVar("C", bound=tuple[int, ...])


class Decided(NamedTuple):
    """What a filter says of one prefix."""

    reason: str
    """Why it is rejected; "" if it is not."""
    changes: tuple[Change, ...] = ()


Decide = Callable[[Prefix], Decided]


def decide(name: str, terms: Iterable[Term]) -> Decide:
    """Give what judges prefixes by terms of which only the prefixes are still to be looked at."""
    left = tuple(terms)

    def judge(prefix: Prefix) -> Decided:
        changes: list[Change] = []
        for term in left:
            rules = term.match.prefixes
            if rules and not any(rule.takes(prefix) for rule in rules):
                continue
            if term.action is Action.REJECT:
                return Decided(term.reason or f"rejected by filter {name}")
            changes.append(term.change)
            if term.action is Action.ACCEPT:
                break
        return Decided("", tuple(changes))

    return judge


def matches(match: Match, peer: str, attributes: Attributes) -> bool:
    """Tell whether everything but the prefix matches."""
    path = attributes.as_path
    bounds = match.as_path_length
    return (
        (not match.peers or peer in match.peers)
        and (not match.communities or not match.communities.isdisjoint(attributes.communities))
        and (
            not match.large_communities
            or not match.large_communities.isdisjoint(attributes.large_communities)
        )
        and (not match.origin_asns or not match.origin_asns.isdisjoint(path[-1:]))
        and (not match.contains_asns or _contains(match.contains_asns, attributes))
        and (bounds is None or bounds[0] <= attributes.path_length <= bounds[1])
        and (not match.next_hops or _is_in(match.next_hops, attributes))
    )


def _contains(asns: frozenset[int], attributes: Attributes) -> bool:
    return not asns.isdisjoint(attributes.as_path) or any(
        not asns.isdisjoint(members) for members in attributes.as_sets
    )


def _is_in(ranges: tuple[Prefix, ...], attributes: Attributes) -> bool:
    host = Prefix.from_address(attributes.next_hop)
    return any(each.covers(host) for each in ranges)


class Imported(NamedTuple):
    """What becomes of one path."""

    reason: str
    attributes: Attributes
    """As changed by the filter."""


def importing(wanted: Filter, peer: str, attributes: Attributes) -> Callable[[Prefix], Imported]:
    """Give what judges each prefix that the peer announced with these attributes.

    Equal answers share one object.
    """
    judge = _numbered(wanted, peer, attributes)
    known: dict[tuple[Change, ...], Imported] = {}

    def answer(prefix: Prefix) -> Imported:
        reason, changes = judge(prefix)
        if reason:
            return Imported(reason, attributes)
        found = known.get(changes)
        if found is None:
            found = known[changes] = Imported("", _changed(attributes, changes))
        return found

    return answer


def _numbered(wanted: Filter, peer: str, attributes: Attributes) -> Decide:
    """Leave only what the prefix decides; a term keeps its number for the reason."""
    left = [
        term if term.reason or term.action is not Action.REJECT else _named(term, wanted, number)
        for number, term in enumerate(wanted.terms, 1)
        if matches(term.match, peer, attributes)
    ]
    return decide(wanted.name, left)


def _named(term: Term, wanted: Filter, number: int) -> Term:
    return replace(term, reason=f"rejected by filter {wanted.name}, term {number}")


def _changed(attributes: Attributes, changes: tuple[Change, ...]) -> Attributes:
    preference: int | None = None
    communities, large = attributes.communities, attributes.large_communities
    for change in changes:
        communities = _edit(communities, change.add_communities, change.remove_communities)
        large = _edit(large, change.add_large_communities, change.remove_large_communities)
        if change.local_preference is not None:
            preference = change.local_preference
    same = (communities, large) == (attributes.communities, attributes.large_communities)
    if preference is None and same:
        return attributes
    # Of other attributes that had the same standing, not all may have been changed.
    changed = attributes.changed(communities=communities, large_communities=large)
    if preference is None:
        return changed
    return changed.changed(local_preference=preference, is_preferred=True)


def _edit(have: tuple[C, ...], added: tuple[C, ...], removed: frozenset[C]) -> tuple[C, ...]:
    kept = tuple(each for each in have if each not in removed)
    return (*kept, *(each for each in dict.fromkeys(added) if each not in kept))


def exporting(
    wanted: Filter, peer: PeerSettings, exports: dict[Prefix, Export]
) -> dict[Prefix, Export]:
    """Give what is left of what the peer would be announced, with the filter's attributes.

    The path of an announcement of ours begins here: it is empty and has no community yet.
    """
    terms = [term for term in wanted.terms if not term.match.peers or peer.name in term.match.peers]
    judge = decide(wanted.name, terms)
    found = {}
    for prefix, export in exports.items():
        reason, changes = judge(prefix)
        if not reason:
            found[prefix] = announced_as(export, peer, changes)
    return found


def announced_as(export: Export, peer: PeerSettings, changes: tuple[Change, ...]) -> Export:
    """Give the announcement with these changes, in their order."""
    communities, large, med = export.communities, export.large_communities, export.med
    prepend = 0
    for change in changes:
        communities = _edit(communities, change.add_communities, change.remove_communities)
        large = _edit(large, change.add_large_communities, change.remove_large_communities)
        med = change.med if change.med is not None else med
        prepend += change.prepend
    made = replace(export, communities=communities, large_communities=large, med=med)
    return made if peer.is_internal else with_prepends(made, peer.local_asn, prepend)
