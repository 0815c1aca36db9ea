"""What a peer ends up with, whatever is wanted when, through ExaBGP's queue as it is.

The model queues as exabgp/rib/outgoing.py does: by attributes first, each bucket at the place where
its attributes were first seen since the queue was emptied.
"""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from bgp.event import Sent
from bgp.export import PLAIN, Export
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.speaker.adjribout import AdjRibOut

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
PREFIXES = tuple(Prefix.parse(f"10.244.{i}.0/24") for i in range(3))
EXPORTS = (PLAIN, Export(communities=((65535, 0),)), Export(med=7, as_path=(65201, 65201)))
_WORDS = {b"": PLAIN, b"community": EXPORTS[1], b"med": EXPORTS[2]}


class Exabgp:
    """A peer's outgoing queue and cache, and the peer behind it."""

    def __init__(self) -> None:
        self.buckets: dict[Export, dict[Prefix, bool]] = {}
        self.latest: dict[Prefix, Export] = {}
        self.cache: dict[Prefix, Export] = {}
        self.end_queued = False
        self.has: dict[Prefix, Export] = {}
        self.has_end = False
        self.wanted: dict[Prefix, Export] = {}

    def hear(self, lines: bytes) -> None:
        for line in lines.splitlines():
            if b" eor " in line:
                assert self.cache == self.wanted, "End-of-RIB before everything was announced"
                self.end_queued = True
                continue
            head, _, names = line.partition(b" nlri ")
            export = next((e for word, e in _WORDS.items() if word and word in head), PLAIN)
            for name in names.split():
                prefix = Prefix.parse(name.decode())
                if b" withdraw " in head:
                    self._drop(prefix)
                    self._queue(prefix, export, announce=False)
                    self.cache.pop(prefix, None)
                elif self.cache.get(prefix) != export:
                    self._queue(prefix, export, announce=True)
                    self.cache[prefix] = export

    def _drop(self, prefix: Prefix) -> None:
        if prefix in self.latest:
            self.buckets.get(self.latest[prefix], {}).pop(prefix, None)

    def _queue(self, prefix: Prefix, export: Export, *, announce: bool) -> None:
        self.buckets.setdefault(export, {})[prefix] = announce
        self.latest[prefix] = export

    def begin(self) -> None:
        self.buckets.clear()
        self.latest.clear()
        self.has.clear()
        self.has_end = self.end_queued = False
        for prefix, export in self.cache.items():
            self._queue(prefix, export, announce=True)

    def flush(self) -> list[Sent]:
        told = []
        for export, prefixes in self.buckets.items():
            announced = tuple(p for p, announce in prefixes.items() if announce)
            withdrawn = tuple(p for p, announce in prefixes.items() if not announce)
            self.has.update(dict.fromkeys(announced, export))
            for prefix in withdrawn:
                self.has.pop(prefix, None)
            told.append(
                Sent(
                    peer=PEER,
                    announced=announced,
                    withdrawn=withdrawn,
                    attributes=Attributes(
                        next_hop=NODE,
                        as_path=export.as_path or (65201,),
                        med=export.med,
                        communities=export.communities,
                    ),
                )
            )
        self.buckets, self.latest = {}, {}
        if self.end_queued:
            self.end_queued, self.has_end = False, True
            told.append(Sent(peer=PEER, end_of_rib=4))
        return told


wants = st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(EXPORTS))
steps = st.one_of(
    wants.map(lambda wanted: ("want", wanted)),
    st.sampled_from([("flush", {}), ("hear", {}), ("down", {}), ("up", {}), ("forgotten", {})]),
)


class Play:
    """The agent's end and the model, moved by one step of a script at a time."""

    def __init__(self) -> None:
        self.out = AdjRibOut()
        self.exabgp = Exabgp()
        self.waiting: list[Sent] = []
        self.up = False

    def step(self, kind: str, wanted: dict[Prefix, Export]) -> None:
        if kind == "want":
            self.exabgp.wanted = wanted
            self.exabgp.hear(self.out.want({TOR: (frozenset({4}), wanted)}))
        elif kind == "up" and not self.up:
            self.up = True
            self.exabgp.begin()
            self.exabgp.hear(self.out.session_up(TOR, NODE, frozenset({4})))
        elif kind == "forgotten" and not self.up:
            self.exabgp.cache.clear()
        elif self.up:
            self._while_up(kind)

    def _while_up(self, kind: str) -> None:
        if kind == "flush":
            self.waiting += self.exabgp.flush()
        elif kind == "hear":
            while self.waiting:
                self.exabgp.hear(self.out.confirm(TOR, self.waiting.pop(0)))
        elif kind == "down":
            self.up = False
            self.waiting.clear()
            self.out.session_down(TOR)


@settings(max_examples=600, deadline=None)
@given(st.lists(steps, max_size=24))
def test_peer_ends_up_with_what_is_wanted(script: list[tuple[str, dict[Prefix, Export]]]) -> None:
    play = Play()
    for kind, wanted in script:
        play.step(kind, wanted)
    play.step("want", play.exabgp.wanted)
    play.step("up", {})
    for kind in ("flush", "hear") * 6:
        play.step(kind, {})

    assert play.exabgp.has == play.exabgp.wanted
    assert play.exabgp.has_end
    assert play.out.is_settled(TOR)
