"""Since when each peer has had what we announce to it. PURE."""

from __future__ import annotations

from collections.abc import Iterable

from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.session import Session

_NOTHING: frozenset[Prefix] = frozenset()


class AnnouncedSince:
    """Follows Adj-RIB-Out; a node announces a handful of prefixes, so each has its time."""

    def __init__(self) -> None:
        """Begin with nothing announced."""
        self._seen: dict[PeerId, frozenset[Prefix]] = {}
        self._since: dict[tuple[PeerId, Prefix], float] = {}

    def follow(self, sessions: Iterable[Session], at: float) -> None:
        """Note what is new and what is gone; `at` is wall time in seconds."""
        now = {session.peer: session.announced for session in sessions}
        for peer in now.keys() | self._seen.keys():
            before, after = self._seen.get(peer, _NOTHING), now.get(peer, _NOTHING)
            if before is after:
                continue
            for prefix in before - after:
                self._since.pop((peer, prefix), None)
            for prefix in after - before:
                self._since[peer, prefix] = at
        self._seen = now

    def of(self, peer: PeerId, prefix: Prefix) -> float | None:
        """Return since when, as wall time in seconds; None: it is not announced to the peer."""
        return self._since.get((peer, prefix))
