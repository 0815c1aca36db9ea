"""What every peer's session is doing, and what its events mean for the RIB.

The speaker's death and a peer's are different: when the speaker dies, every path stays as
stale until learned again or a bound; when a session ends while the speaker lives, its paths
go at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from bgp import session as bgp_session
from bgp.event import (
    EndOfRib,
    Event,
    PeerEvent,
    SessionDown,
    SessionUp,
    SpeakerExited,
    SpeakerStarted,
)
from bgp.peer import PeerId, PeerSettings
from bgp.rib import Rib
from bgp.session import Session, State, TransitionError
from router.reconcile.deferral import Awaited, Deferral

_log = logging.getLogger(__name__)


class Sessions:
    """The sessions with all configured peers."""

    def __init__(
        self, peers: tuple[PeerSettings, ...], rib: Rib, *, deferral_s: float, now: float, at: float
    ) -> None:
        """`now` is monotonic, `at` wall time; both in seconds."""
        self._rib = rib
        self._deferral_s = deferral_s
        self._settings = {peer.name: peer for peer in peers}
        self._sessions = {peer.name: Session(peer=peer.name, since=at) for peer in peers}
        self.after_start = Deferral.begin(self._everything(), now, deferral_s)
        """Holds back the removal of kernel routes found at start."""
        self._after_speaker = Deferral()

    def _everything(self) -> Iterator[Awaited]:
        for peer in self._settings.values():
            for family in sorted(peer.families):
                yield Awaited(peer.name, family)

    @property
    def all(self) -> tuple[tuple[PeerSettings, Session], ...]:
        """Settings and session of every peer, in the order of the configuration."""
        return tuple((peer, self._sessions[name]) for name, peer in self._settings.items())

    @property
    def established(self) -> tuple[Session, ...]:
        """The sessions on which routes are exchanged."""
        return tuple(s for s in self._sessions.values() if s.is_established)

    def reconfigure(
        self, peers: tuple[PeerSettings, ...], *, deferral_s: float, now: float, at: float
    ) -> None:
        """Take a new set of peers; a session whose peer stays is kept as it is.

        A new peer's End-of-RIB is awaited like the others' while a deferral runs.
        """
        wanted = {peer.name: peer for peer in peers}
        gone = self._settings.keys() - wanted.keys()
        new = wanted.keys() - self._settings.keys()
        running = any(s.state is not State.IDLE for s in self._sessions.values())
        fresh = {name: Session(peer=name, since=at) for name in new}
        if running or not self._sessions:
            fresh = {name: bgp_session.start(session, at) for name, session in fresh.items()}
        self._settings = wanted
        self._sessions = {name: (self._sessions | fresh)[name] for name in wanted}
        self._deferral_s = deferral_s
        self.after_start = self.after_start.without(gone)
        self._after_speaker = self._after_speaker.without(gone)
        if self.after_start.holds(now):
            added = [item for item in self._everything() if item.peer in new]
            self.after_start = self.after_start.adding(added)

    def receive(self, event: Event, *, now: float, at: float) -> PeerId | None:
        """Take in one event; return the peer whose paths are gone with its session, if any."""
        if isinstance(event, SpeakerStarted):
            self._sessions = {n: bgp_session.start(s, at) for n, s in self._sessions.items()}
        elif isinstance(event, SpeakerExited):
            self._speaker_gone(event, now=now, at=at)
        elif isinstance(event, PeerEvent):
            return self._peer_event(event, at)
        return None

    def _speaker_gone(self, event: SpeakerExited, *, now: float, at: float) -> None:
        reason = f"the speaker ended: {event.reason}"
        self._sessions = {n: bgp_session.stop(s, at, reason) for n, s in self._sessions.items()}
        for name in self._settings:
            self._rib.mark_stale(name)
        self._after_speaker = Deferral.begin(self._everything(), now, self._deferral_s)

    def _peer_event(self, event: PeerEvent, at: float) -> PeerId | None:
        before = self._sessions.get(event.peer)
        if before is None:
            return None
        # The RIB depends on no session state: what was announced counts even if we lost track.
        self._rib.apply(event)
        try:
            after = bgp_session.advance(before, event, at)
        except TransitionError as error:
            _log.error("impossible session event", extra={"peer": event.peer, "error": str(error)})
            return None
        self._sessions[event.peer] = after
        if isinstance(event, EndOfRib):
            self.after_start = self.after_start.received(event.peer, event.family)
            self._after_speaker = self._after_speaker.received(event.peer, event.family)
        if isinstance(event, SessionUp):
            _log.info("session established", extra={"peer": event.peer})
        if isinstance(event, SessionDown) and before.is_established:
            _log.warning("session down", extra={"peer": event.peer, "reason": after.last_down})
            self._rib.drop(event.peer)
            return event.peer
        return None

    def expire(self, now: float) -> None:
        """Drop stale paths that were not learned again in time."""
        if self._after_speaker.awaited and not self._after_speaker.holds(now):
            for peer, family in sorted(self._after_speaker.awaited):
                swept = self._rib.sweep_stale(peer, family)
                if swept:
                    _log.warning("stale paths dropped", extra={"peer": peer, "paths": swept})
            self._after_speaker = Deferral()
