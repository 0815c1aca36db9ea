"""What became of the sessions, change by change, as long as there is room. PURE.

A session shows only its last end. At night the question is the one before: how often, and was it
always the same reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bgp.event import Event, SessionDown
from bgp.peer_id import PeerId
from bgp.session import Session

KEPT_PER_PEER: Final = 32
"""A peer that flaps fills only its own share."""


class Turn(StrEnum):
    """What happened."""

    ESTABLISHED = "established"
    LOST = "lost"
    FAILED = "failed"
    """An attempt that did not become a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change, or the same failure again and again."""

    peer: PeerId
    turn: Turn
    text: str
    """Why, in words; "" for a session that is established."""
    at: float
    """When first, in seconds of wall time."""
    last_at: float
    times: int = 1
    number: int = 0
    """Order of what happened in one round of the loop, and so at one time."""


class History:
    """The last changes of each peer's session since the agent started."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._changes: dict[PeerId, deque[Change]] = {}
        self._count = 0

    def note(self, before: Session, after: Session, at: float, event: Event | None = None) -> None:
        """Take in what one event made of a session; most make no change."""
        if after.is_established and not before.is_established:
            self._add(Change(peer=after.peer, turn=Turn.ESTABLISHED, text="", at=at, last_at=at))
        elif before.is_established and not after.is_established:
            text = after.last_down
            self._add(Change(peer=after.peer, turn=Turn.LOST, text=text, at=at, last_at=at))
        elif isinstance(event, SessionDown):
            text = after.last_attempt
            self._add(Change(peer=after.peer, turn=Turn.FAILED, text=text, at=at, last_at=at))

    def _add(self, change: Change) -> None:
        self._count += 1
        kept = self._changes.setdefault(change.peer, deque(maxlen=KEPT_PER_PEER))
        last = kept[-1] if kept else None
        if last is not None and (last.turn, last.text) == (change.turn, change.text):
            times = last.times + 1
            kept[-1] = replace(last, last_at=change.at, times=times, number=self._count)
        else:
            kept.append(replace(change, number=self._count))

    def keep(self, peers: Collection[PeerId]) -> None:
        """Forget those who are no peers any more."""
        self._changes = {peer: kept for peer, kept in self._changes.items() if peer in peers}

    def latest(self, most: int, peer: str | None = None) -> list[Change]:
        """Return the last changes, of one peer or of all, the newest first."""
        found: Iterable[Change] = (
            change
            for name, kept in self._changes.items()
            if peer in (None, name)
            for change in kept
        )
        return sorted(found, key=lambda change: change.number, reverse=True)[:most]
