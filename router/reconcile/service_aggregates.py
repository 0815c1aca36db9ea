"""Which addresses of Services are announced together, as one shorter prefix. PURE.

An aggregate stands for addresses that every node serves (policy Cluster): whichever node gets a
packet for one of them can send it on. What only some nodes serve stays announced by itself, longer
and so preferred. What an aggregate brings to a node and nobody serves is rejected there in the
forward path (`router.kernel.service_filter`), before anything is announced (invariant 6).

Only prefixes inside `cluster.service_prefixes` are ever announced so: what else is there would be
drawn to the nodes, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Final, NamedTuple

from bgp.nlri import BITS, Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateSettings:
    """`announce.services.aggregate` of the configuration; nothing by default."""

    ipv4: int | None = None
    """Length of aggregates; None: there are none of the family."""
    ipv6: int | None = None
    keep_single: bool = False
    """Announce each address by itself besides."""

    def length(self, family: int) -> int | None:
        """Return the length of aggregates of a family."""
        return self.ipv4 if family == 4 else self.ipv6

    @property
    def is_wanted(self) -> bool:
        """Whether there can be any."""
        return (self.ipv4, self.ipv6) != (None, None)


class Surroundings(NamedTuple):
    """What an aggregate must respect."""

    services: tuple[Prefix, ...] = ()
    """`cluster.service_prefixes`: aggregates lie inside."""
    taken: frozenset[Prefix] = frozenset()
    """Nodes' own things, peers, and ranges of pods and nodes: no aggregate covers one."""
    elsewhere: frozenset[Prefix] = frozenset()
    """Addresses of Services that something outside the nodes serves (`ipMode: Proxy`)."""


class Grouping(NamedTuple):
    """How addresses are announced."""

    singles: frozenset[Prefix] = frozenset()
    """By themselves, whatever becomes of aggregates."""
    covered: Mapping[Prefix, Prefix] = {}
    """By an aggregate: address -> aggregate."""
    refused: Mapping[Prefix, str] = {}
    """Aggregates that cannot be, and why."""
    aggregates: frozenset[Prefix] = frozenset()
    """What may be announced once unused addresses of it are rejected."""

    def networks(self, ready: Set[Prefix], *, keep_single: bool) -> frozenset[Prefix]:
        """Return what to announce; `ready` are aggregates whose unused addresses are rejected."""
        alone = (
            a for a, aggregate in self.covered.items() if keep_single or aggregate not in ready
        )
        return self.singles.union(alone, self.aggregates & ready)


def aggregate_of(address: Prefix, settings: AggregateSettings) -> Prefix | None:
    """Return the aggregate that an address would be in."""
    length = settings.length(address.family)
    if length is None:
        return None
    return _shortened(address, length)


def group(
    addresses: Iterable[Prefix],
    everywhere: Set[Prefix],
    settings: AggregateSettings,
    surroundings: Surroundings,
) -> Grouping:
    """Return how to announce these; `everywhere` are those that every node serves."""
    singles: set[Prefix] = set()
    covered: dict[Prefix, Prefix] = {}
    known: dict[Prefix, str] = {}
    elsewhere = {aggregate_of(each, settings): each for each in sorted(surroundings.elsewhere)}
    for address in addresses:
        aggregate = aggregate_of(address, settings)
        if aggregate is None or address not in everywhere:
            singles.add(address)
            continue
        if aggregate not in known:
            known[aggregate] = _why_not(aggregate, surroundings, elsewhere.get(aggregate))
        if known[aggregate]:
            singles.add(address)
        else:
            covered[address] = aggregate
    refused = {aggregate: why for aggregate, why in known.items() if why}
    return Grouping(frozenset(singles), covered, refused, frozenset(covered.values()))


def _why_not(aggregate: Prefix, surroundings: Surroundings, elsewhere: Prefix | None) -> str:
    if not any(prefix.covers(aggregate) for prefix in surroundings.services):
        return "it does not lie inside cluster.service_prefixes"
    for prefix in sorted(surroundings.taken):
        if aggregate.covers(prefix):
            return f"it covers {prefix}, which is no service's"
    if elsewhere is not None:
        return f"{elsewhere} in it has ipMode Proxy: it is served elsewhere"
    return ""


_NOTHING: Final[frozenset[Prefix]] = frozenset()


@dataclass(slots=True)
class Replacing:
    """Announces what replaces something, and has it acknowledged, before that is withdrawn.

    The speaker sends withdrawals first (`bgp.speaker.adjribout`), and for a moment nobody would
    have a route.
    """

    _shown: frozenset[Prefix] = _NOTHING
    _unheard: frozenset[Prefix] = _NOTHING
    """What is announced and not acknowledged yet."""

    def networks(
        self, wanted: frozenset[Prefix], valid: Set[Prefix], *, is_acknowledged: Callable[[], bool]
    ) -> frozenset[Prefix]:
        """Return what to announce to get to `wanted`; the same object while nothing changes.

        `valid` is what could as well be announced: nothing else is kept. `is_acknowledged`: the
        peers have what was returned last; it takes milliseconds to find out, so it is asked only
        where something is replaced.
        """
        if wanted == self._shown:
            return self._shown
        replaced = (self._shown - wanted) & valid
        unheard = self._unheard & self._shown
        if replaced and unheard and is_acknowledged():
            unheard = _NOTHING
        self._unheard = unheard | (wanted - self._shown)
        self._shown = wanted | _overlapping(replaced, self._unheard & wanted)
        return self._shown


def _overlapping(prefixes: Set[Prefix], others: Set[Prefix]) -> frozenset[Prefix]:
    """Return those that cover one of the others, or lie in one.

    By looking up: there may be ten thousand of each.
    """
    if not prefixes or not others:
        return _NOTHING
    lengths = {(p.family, p.length) for p in prefixes}
    around = {
        _shortened(each, length)
        for each in others
        for family, length in lengths
        if family == each.family and length <= each.length
    }
    of_others = {(p.family, p.length) for p in others}
    return frozenset(
        p
        for p in prefixes
        if p in around
        or any(
            _shortened(p, length) in others
            for family, length in of_others
            if family == p.family and length <= p.length
        )
    )


def _shortened(prefix: Prefix, length: int) -> Prefix:
    spare = BITS[prefix.family] - length
    return Prefix(prefix.family, prefix.network >> spare << spare, length)
