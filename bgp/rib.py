"""Rib: Adj-RIB-In of every peer and the Loc-RIB with multipath. PURE.

Accepted and rejected paths are both kept, so that a changed policy needs no route refresh and
the operator can be told why a path is not used. The best paths of a prefix are computed when
asked for; `take_changed` names the prefixes whose best paths may have changed, so that a
consumer looks only at those.

Stale paths (RFC 4724): when a session or the speaker went away, its paths can be marked stale;
they stay in use until learned again, swept (`sweep_stale`, or an End-of-RIB given to `apply`)
or dropped. Stale and fresh paths are equals in the decision: forwarding state was preserved,
and RFC 4724 section 4.2 forbids to tell them apart when forwarding.

Invariant: `best` depends on the set of paths only, never on the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping
from itertools import chain, repeat
from typing import NamedTuple

from bgp.adjribin import Counts, Table, families
from bgp.deciding import Answer, decide_all
from bgp.decision import RELAXED, Decision, Selection
from bgp.event import EndOfRib, PeerEvent, Updated
from bgp.intake import Changed, judge_again, judged_by, take
from bgp.nlri import BITS, Prefix
from bgp.path import Attributes, Path
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import AS_LOOP, ImportPolicy


class Rejection(NamedTuple):
    """A path that the policy refused, and its words."""

    peer: PeerId
    attributes: Attributes
    reason: str


class Rib:
    """All that the configured peers have told us, judged by one policy."""

    def __init__(
        self,
        policy: ImportPolicy,
        peers: Mapping[PeerId, PeerSettings],
        selection: Selection = RELAXED,
    ) -> None:
        self._policy = policy
        self._peers = dict(peers)
        self._tables = {peer: families() for peer in self._peers}
        self._changed: Changed = {}
        self._held: frozenset[PeerId] = frozenset()
        self._by_family: dict[int, list[tuple[PeerId, Table]]] = {}
        self._decision = Decision((), selection)
        self._index(selection)

    def reconfigure(
        self,
        policy: ImportPolicy,
        peers: Mapping[PeerId, PeerSettings],
        selection: Selection = RELAXED,
    ) -> None:
        """Take a new policy and set of peers; paths of removed peers go, the rest is judged anew.

        Idempotent; equal arguments change nothing.
        """
        for peer in self._peers.keys() - peers.keys():
            self.drop(peer)
            del self._tables[peer]
        for peer in peers.keys() - self._peers.keys():
            self._tables[peer] = families()
        for peer in peers.keys() & self._peers.keys():
            # Another address under an old name is another router, or another link to it.
            if peers[peer].remote != self._peers[peer].remote:
                self.drop(peer)
        changed = policy != self._policy
        if selection != self._decision.selection:
            self._note(self.prefixes())
        old, self._peers, self._policy = self._peers, dict(peers), policy
        self._index(selection)
        for peer, settings in self._peers.items():
            if changed or (peer in old and judged_by(old[peer]) != judged_by(settings)):
                judge_again(self._tables[peer], policy, settings, self._changed)

    def apply(self, event: PeerEvent) -> None:
        """Take in an UPDATE, or sweep at an End-of-RIB; any other event changes nothing.

        Events of a peer that is not configured (any more) are ignored. A session's end is not
        acted upon: whether to call `mark_stale` or `drop` is graceful restart's decision.
        """
        if isinstance(event, Updated):
            self._update(event)
        elif isinstance(event, EndOfRib):
            self.sweep_stale(event.peer, event.family)

    def mark_stale(self, peer: PeerId, *, drop_older: bool = False) -> None:
        """Mark what the peer announced as stale, rejected paths are forgotten.

        `drop_older` removes what was stale already, as RFC 4724 section 4.2 asks of a helper
        whose peer restarts twice in a row; not when it was our own speaker that died.
        """
        for table in self._tables.get(peer, {}).values():
            table.rejected.clear()
            if drop_older:
                self._remove(table, table.stale)
            table.stale = set(table.accepted)

    def sweep_stale(self, peer: PeerId, family: int) -> int:
        """Remove the paths still stale and return how many there were."""
        table = self._tables.get(peer, {}).get(family)
        if table is None:
            return 0
        stale, table.stale = table.stale, set()
        self._remove(table, stale)
        return len(stale)

    def hold(self, peers: frozenset[PeerId]) -> None:
        """Use no path of these peers until told otherwise; the paths stay known. Idempotent."""
        for peer in self._held ^ peers:
            for table in self._tables.get(peer, {}).values():
                self._note(table.accepted)
        self._held = peers

    def drop(self, peer: PeerId) -> None:
        """Forget all paths of the peer, stale or not."""
        for table in self._tables.get(peer, {}).values():
            self._note(table.accepted)
            table.clear()

    def take_changed(self) -> KeysView[Prefix]:
        """Give the prefixes whose best paths may differ since the last call, and forget them.

        In the order in which they came.
        """
        changed, self._changed = self._changed, {}
        return changed.keys()

    def _note(self, prefixes: Iterable[Prefix]) -> None:
        self._changed.update(zip(prefixes, repeat(None), strict=False))

    def best(self, prefix: Prefix) -> tuple[Path, ...]:
        """Choose the paths to use together, sorted by peer; empty if there is none."""
        paths = self.paths(prefix)
        if self._held:
            paths = tuple([path for path in paths if path.peer not in self._held])
        return self._decision.choose(paths)

    def next_hops(self, prefixes: Collection[Prefix]) -> Iterator[Answer]:
        """Give the next hops of the best paths, sorted by peer, with the prefixes they are for.

        All prefixes of an answer are of one family; a default route stands alone.
        """
        for family, tables in self._by_family.items():
            used = [(p, table.accepted) for p, table in tables if p not in self._held]
            default = Prefix(family, 0, 0)
            some = [prefix for prefix in prefixes if prefix[0] == family and prefix[2]]
            for group in (some, [default] if default in prefixes else []):
                yield from decide_all(self._decision, used, group)

    def paths(self, prefix: Prefix) -> tuple[Path, ...]:
        """Give all accepted paths to the prefix, sorted by peer."""
        return tuple(
            [
                Path(peer, table.accepted[prefix], prefix in table.stale)
                for peer, table in self._by_family[prefix[0]]
                if prefix in table.accepted
            ]
        )

    def accepted_of(self, peer: PeerId) -> Iterator[tuple[Prefix, Attributes]]:
        """Give the accepted paths of one peer as they came; lazily, none is copied."""
        for table in self._tables.get(peer, {}).values():
            yield from table.accepted.items()

    def rejections(self, prefix: Prefix) -> tuple[Rejection, ...]:
        """Give the refused paths to the prefix with the reasons, sorted by peer."""
        return tuple(
            Rejection(peer, *table.rejected[prefix])
            for peer, table in self._by_family[prefix.family]
            if prefix in table.rejected
        )

    @property
    def refused(self) -> int:
        """Count the refused paths of all peers."""
        return sum(len(t.rejected) for tables in self._tables.values() for t in tables.values())

    def rejections_inside(self, prefix: Prefix) -> Iterator[tuple[Prefix, Rejection]]:
        """Give the refused paths to prefixes inside; looks at every refused path of the family."""
        for peer, table in self._by_family[prefix.family]:
            for inside, refused in table.rejected.items():
                if prefix.covers(inside):
                    yield inside, Rejection(peer, *refused)

    def loops(self, peer: PeerId, family: int) -> Iterator[Prefix]:
        """Give what was refused because our own AS stands in its path."""
        table = self._tables.get(peer, {}).get(family)
        for prefix, (_, reason) in table.rejected.items() if table is not None else ():
            if reason == AS_LOOP:
                yield prefix

    def prefixes(self) -> KeysView[Prefix]:
        """Give all prefixes that have at least one accepted path, peer by peer as they came."""
        tables = (table.accepted for tables in self._tables.values() for table in tables.values())
        return dict.fromkeys(chain.from_iterable(tables)).keys()

    def rejected_prefixes(self) -> set[Prefix]:
        """Give all prefixes of which at least one path was refused."""
        return set().union(
            *(table.rejected for tables in self._tables.values() for table in tables.values())
        )

    def counts(self, peer: PeerId, family: int) -> Counts:
        """Count what the peer announced; zeros for an unknown peer. Constant time."""
        table = self._tables.get(peer, {}).get(family)
        if table is None:
            return Counts()
        return Counts(
            accepted=len(table.accepted), rejected=len(table.rejected), stale=len(table.stale)
        )

    def has_stale(self) -> bool:
        """Tell whether any path waits to be learned again."""
        return any(t.stale for tables in self._tables.values() for t in tables.values())

    def _index(self, selection: Selection) -> None:
        self._decision = Decision(self._peers.values(), selection)
        self._by_family = {
            family: [(peer, self._tables[peer][family]) for peer in sorted(self._peers)]
            for family in BITS
        }

    def _update(self, event: Updated) -> None:
        settings = self._peers.get(event.peer)
        if settings is None:
            return
        take(self._tables[event.peer], event.changes, self._policy, settings, self._changed)

    def _remove(self, table: Table, prefixes: set[Prefix]) -> None:
        for prefix in prefixes:
            del table.accepted[prefix]
            table.raw.pop(prefix, None)
        self._note(prefixes)
