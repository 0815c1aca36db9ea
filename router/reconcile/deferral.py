"""How long routes that are not learned again may stay (RFC 4724, invariant 7). PURE.

After a start of the agent the kernel holds routes it knows nothing about yet; after a start
of the speaker the RIB holds stale paths. Both stay until each peer has sent End-of-RIB for
each of its families, or until a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from bgp.peer_id import PeerId


class Awaited(NamedTuple):
    """An End-of-RIB still to come."""

    peer: PeerId
    family: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """What is awaited, and until when on the monotonic clock."""

    awaited: frozenset[Awaited] = frozenset()
    until: float = 0.0

    @classmethod
    def begin(cls, awaited: Iterable[Awaited], now: float, bound_s: float) -> Deferral:
        """Return a deferral of at most `bound_s` seconds from now."""
        return cls(awaited=frozenset(awaited), until=now + bound_s)

    def received(self, peer: PeerId, family: int) -> Deferral:
        """Return the deferral after an End-of-RIB."""
        return replace(self, awaited=self.awaited - {Awaited(peer, family)})

    def adding(self, more: Iterable[Awaited]) -> Deferral:
        """Return the deferral that waits for these too."""
        return replace(self, awaited=self.awaited | frozenset(more))

    def without(self, peers: Iterable[PeerId]) -> Deferral:
        """Return the deferral after peers were removed from the configuration."""
        gone = set(peers)
        return replace(
            self, awaited=frozenset(item for item in self.awaited if item.peer not in gone)
        )

    def holds(self, now: float) -> bool:
        """Whether to keep what is not learned again."""
        return bool(self.awaited) and now < self.until
