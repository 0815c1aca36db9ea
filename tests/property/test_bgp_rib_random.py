"""20,000 random events on the RIB, filters and policies changing among them, against a slow model.

The model keeps what the peers sent and nothing else; whatever is asked of it is worked out anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bgp.event import Change, EndOfRib, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes, Path
from bgp.peer_id import PeerId
from bgp.rib import Rib
from tests.support.rib_model import BASE, PREFIXES, Chance, Model

EVENTS = 20_000
RUNS = 10


class Run:
    """One run of events on both."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed)
        self.model = Model(self.chance.policy())
        self.rib = Rib(self.model.policy, self.model.peers)
        self.seen: dict[Prefix, list[tuple[PeerId, Attributes]]] = {}

    def step(self) -> None:
        peer = self.chance.choice(list(self.model.peers))
        roll = self.chance.random()
        if roll < 0.55:
            self._announce(peer)
        elif roll < 0.75:
            self._withdraw(peer)
        elif roll < 0.79:
            self._go_stale(peer)
        elif roll < 0.83:
            self._sweep(peer)
        elif roll < 0.85:
            self._forget(peer, lambda _: True)
            self.rib.drop(peer)
        elif roll < 0.89:
            self.model.held = frozenset(self.chance.sample(list(BASE), self.chance.randrange(3)))
            self.rib.hold(self.model.held)
        else:
            self._reconfigure(peer)

    def _announce(self, peer: PeerId) -> None:
        attributes = self.chance.attributes()
        prefixes = self.chance.sample(PREFIXES, self.chance.randrange(1, 4))
        for prefix in prefixes:
            self.model.sent[peer, prefix] = attributes
            self.model.stale.discard((peer, prefix))
        self.rib.apply(Updated(peer=peer, changes=[Change(attributes, prefixes)]))

    def _withdraw(self, peer: PeerId) -> None:
        prefixes = self.chance.sample(PREFIXES, self.chance.randrange(1, 3))
        self._forget(peer, lambda prefix: prefix in prefixes)
        self.rib.apply(Updated(peer=peer, changes=[Change(None, (), prefixes)]))

    def _go_stale(self, peer: PeerId) -> None:
        older = self.chance.random() < 0.5
        model = self.model
        rejected = {k for k in model.sent if k[0] == peer and model.judge(*k)[0]}
        gone = rejected | ({k for k in model.stale if k[0] == peer} if older else set())
        self._forget(peer, lambda prefix: (peer, prefix) in gone)
        model.stale |= {k for k in model.sent if k[0] == peer}
        self.rib.mark_stale(peer, drop_older=older)

    def _sweep(self, peer: PeerId) -> None:
        stale = {k for k in self.model.stale if k[0] == peer and not self.model.judge(*k)[0]}
        self._forget(peer, lambda prefix: (peer, prefix) in stale)
        self.rib.apply(EndOfRib(peer=peer, family=4))

    def _forget(self, peer: PeerId, which: Callable[[Prefix], bool]) -> None:
        gone = {k for k in self.model.sent if k[0] == peer and which(k[1])}
        for key in gone:
            del self.model.sent[key]
        self.model.stale -= gone

    def _reconfigure(self, peer: PeerId) -> None:
        model = self.model
        kind = self.chance.randrange(3)
        if kind == 0:
            model.policy = self.chance.policy()
        elif kind == 1:
            model.selection = self.chance.selection()
        else:
            model.peers[peer] = replace(model.peers[peer], import_filter=self.chance.filter())
        self.rib.reconfigure(model.policy, model.peers, model.selection)
        # What is refused now is not stale any more: it is not in use.
        model.stale = {key for key in model.stale if not model.judge(*key)[0]}

    def compare(self) -> None:
        """Look at what the RIB says has changed, and that nothing else has."""
        changed = self.rib.take_changed()
        hops = {prefix: hops for hops, some in self.rib.next_hops(PREFIXES) for prefix in some}
        for prefix in PREFIXES:
            # What a peer prefers is no news where a filter's preference stands in its place.
            expected = [(p, a.changed(local_preference=None)) for p, a in self.model.best(prefix)]
            best = [(path.peer, plain(path)) for path in self.rib.best(prefix)]
            assert best == expected
            assert hops[prefix] == tuple(a.next_hop for _, a in expected)
            assert prefix in changed or self.seen.get(prefix, []) == expected
            self.seen[prefix] = expected
            refused = {r.peer for r in self.rib.rejections(prefix)}
            assert refused == {
                p for p, at in self.model.sent if at == prefix and self.model.judge(p, at)[0]
            }

    def compare_stale(self) -> None:
        """Look at marks, and that nothing is kept of paths that are gone."""
        tables = [table for one in self.rib._tables.values() for table in one.values()]
        assert all(table.raw.keys() <= table.accepted.keys() for table in tables)
        stale = {(p.peer, at) for at in PREFIXES for p in self.rib.paths(at) if p.stale}
        assert stale == self.model.stale


def plain(path: Path) -> Attributes:
    """Return the attributes without regard to whose preference they hold."""
    return path.attributes.changed(local_preference=None, is_preferred=False)


@settings(max_examples=RUNS, deadline=None, database=None)
@example(20)
@example(200207)
@given(st.integers(0, 2**32))
def test_random_events_leave_what_the_model_has(seed: int) -> None:
    run = Run(seed)
    for number in range(EVENTS // RUNS):
        run.step()
        if number % 4 == 0:
            run.compare()
            run.compare_stale()
    run.compare()
