"""What every peer's session is doing, and what its events mean for the RIB.

The speaker's death and a peer's are different: when the speaker dies, every path stays as
stale until learned again or a bound. A session that ends while the speaker lives takes its paths
along, unless its peer restarts gracefully and we are its helper (RFC 4724 section 4.2): a bare end
of the connection, both OPENs had the capability for the family. Then they stay as stale until the
peer's End-of-RIB, at most for its restart time until it is back and for our deferral time then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace

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
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.rib import Rib
from bgp.session import Session, State, TransitionError
from router.agent.history import History
from router.config.settings import WaitingPeer
from router.reconcile.deferral import Awaited, Deferral

_log = logging.getLogger(__name__)


class Sessions:
    """The sessions with all configured peers."""

    def __init__(
        self,
        peers: tuple[PeerSettings, ...],
        rib: Rib,
        *,
        deferral_s: float,
        now: float,
        at: float,
        waiting: tuple[WaitingPeer, ...] = (),
    ) -> None:
        """`now` is monotonic, `at` wall time; both in seconds.

        Those `waiting` have no session yet, but their End-of-RIB is waited for, too.
        """
        self._rib = rib
        self._deferral_s = deferral_s
        self._settings = {peer.name: peer for peer in peers}
        self._waiting = {one.peer.name: one for one in waiting}
        self._away: dict[PeerId, Session] = {}
        """Former sessions of those waiting: what there is to say about them is not forgotten."""
        self._sessions = {peer.name: Session(peer=peer.name, since=at) for peer in peers}
        self.after_start = Deferral.begin(self._everything(), now, deferral_s)
        """Holds back the removal of kernel routes found at start."""
        self._after_speaker = Deferral()
        self._helping: dict[PeerId, Deferral] = {}
        """Per peer that restarts, what its stale paths wait for."""
        self.history = History()
        self.heard = 0
        """Grows with everything that may have changed the paths that are known."""

    def _everything(self) -> Iterator[Awaited]:
        for peer in (*self._settings.values(), *(one.peer for one in self._waiting.values())):
            if peer.is_enabled:
                for family in sorted(peer.families):
                    yield Awaited(peer.name, family)

    @property
    def all(self) -> tuple[tuple[PeerSettings, Session], ...]:
        """Settings and session of every peer, in the order of the configuration."""
        return tuple((peer, self._sessions[name]) for name, peer in self._settings.items())

    @property
    def waiting(self) -> tuple[tuple[WaitingPeer, Session | None], ...]:
        """Those who were not found yet, with their former session if there was one."""
        return tuple((one, self._away.get(name)) for name, one in self._waiting.items())

    @property
    def established(self) -> tuple[Session, ...]:
        """The sessions on which routes are exchanged."""
        return tuple(s for s in self._sessions.values() if s.is_established)

    def reconfigure(
        self,
        peers: tuple[PeerSettings, ...],
        *,
        deferral_s: float,
        now: float,
        at: float,
        waiting: tuple[WaitingPeer, ...] = (),
    ) -> None:
        """Take a new set of peers; a session whose peer stays is kept as it is.

        A new peer's End-of-RIB is awaited like the others' while a deferral runs.
        """
        wanted = {peer.name: peer for peer in peers}
        # Another address under an old name is another router.
        moved = {
            name
            for name in wanted.keys() & self._settings.keys()
            if wanted[name].remote != self._settings[name].remote
        }
        enabled_before = {name for name, peer in self._settings.items() if peer.is_enabled}
        enabled = {name for name, peer in wanted.items() if peer.is_enabled}
        gone = self._settings.keys() - wanted.keys() | moved
        new = wanted.keys() - self._settings.keys() | moved
        running = any(s.state is not State.IDLE for s in self._sessions.values())
        before = self._waiting.keys()
        self._waiting = {one.peer.name: one for one in waiting}
        self._send_away(gone & (moved | self._waiting.keys()), at)
        fresh = {name: self._away.pop(name, Session(peer=name, since=at)) for name in new}
        self._away = {name: s for name, s in self._away.items() if name in self._waiting}
        if running or not self._sessions:
            fresh = {name: bgp_session.start(session, at) for name, session in fresh.items()}
        for name in wanted.keys() & self._settings.keys():
            if wanted[name] != self._settings[name]:
                # What was said of attempts with other settings is no reason any more.
                self._sessions[name] = replace(self._sessions[name], last_attempt="")
        self._settings = wanted
        self._sessions = {name: (self._sessions | fresh)[name] for name in wanted}
        self.history.keep(wanted.keys() | self._waiting.keys())
        self.heard += 1
        self._deferral_s = deferral_s
        # A link that comes and goes does not end the wait for its router.
        self._await_no_longer(gone, after_start=gone - moved - self._waiting.keys())
        for name in enabled_before - enabled - gone:
            self.give_up(name)
        if self.after_start.holds(now):
            new = new - before | enabled - enabled_before - before
            added = [item for item in self._everything() if item.peer in new]
            self.after_start = self.after_start.adding(added)

    def give_up(self, peer: PeerId) -> None:
        """Forget the paths of a peer that is to have no session, and wait for none."""
        self._rib.drop(peer)
        self._await_no_longer({peer}, after_start={peer})

    def _await_no_longer(
        self, gone: AbstractSet[PeerId], *, after_start: AbstractSet[PeerId]
    ) -> None:
        self.after_start = self.after_start.without(after_start)
        self._after_speaker = self._after_speaker.without(gone)
        self._helping = {n: d for n, d in self._helping.items() if n not in gone}

    def remote_asn(self, peer: PeerId) -> int | None:
        """Return the AS of the peer's last OPEN."""
        session = self._sessions.get(peer)
        return session.remote.asn if session is not None and session.remote is not None else None

    def _send_away(self, peers: AbstractSet[PeerId], at: float) -> None:
        """Keep what there is to say about peers by interface that are no longer where they were."""
        for name in peers:
            if self._settings[name].interface:
                one = self._waiting.get(name)
                reason = one.reason if one else "one end of the link has another address now"
                stopped = bgp_session.stop(self._sessions[name], at, reason)
                self._away[name] = replace(stopped, remote=None, local=None)

    def receive(self, event: Event, *, now: float, at: float) -> PeerId | None:
        """Take in one event; return the peer whose paths are gone with its session, if any."""
        self.heard += 1
        if isinstance(event, SpeakerStarted):
            self._sessions = {n: bgp_session.start(s, at) for n, s in self._sessions.items()}
        elif isinstance(event, SpeakerExited):
            self._speaker_gone(event, now=now, at=at)
        elif isinstance(event, PeerEvent):
            return self._peer_event(event, now=now, at=at)
        return None

    def _speaker_gone(self, event: SpeakerExited, *, now: float, at: float) -> None:
        reason = f"the speaker ended: {event.reason}"
        before = self._sessions
        self._sessions = {n: bgp_session.stop(s, at, reason) for n, s in before.items()}
        for name, session in before.items():
            self.history.note(session, self._sessions[name], at)
        for name in self._settings:
            self._rib.mark_stale(name)
        self._after_speaker = Deferral.begin(self._everything(), now, self._deferral_s)

    def _peer_event(self, event: PeerEvent, *, now: float, at: float) -> PeerId | None:
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
        self.history.note(before, after, at, event)
        if isinstance(event, EndOfRib):
            self._end_of_rib(event)
        if isinstance(event, SessionUp):
            _log.info("session established", extra={"peer": event.peer})
            self._back(after, now)
            self._forget_what_was_not_negotiated(after)
        if isinstance(event, SessionDown) and before.is_established:
            kept = bgp_session.families_kept(before, event)
            fields = {"peer": event.peer, "reason": after.last_down, "kept": sorted(kept)}
            _log.warning("session down", extra=fields)
            return self._lost(after, kept, now)
        return None

    def _end_of_rib(self, event: EndOfRib) -> None:
        self.after_start = self.after_start.received(event.peer, event.family)
        self._after_speaker = self._after_speaker.received(event.peer, event.family)
        helped = self._helping.pop(event.peer, Deferral()).received(event.peer, event.family)
        if helped.awaited:
            self._helping[event.peer] = helped

    def _lost(self, session: Session, kept: frozenset[int], now: float) -> PeerId | None:
        """Give up the paths of a session that ended; return its peer if none stay."""
        peer = session.peer
        self._helping.pop(peer, None)
        if not kept or session.remote is None or session.remote.restart_time_s is None:
            self._rib.drop(peer)
            return peer
        self._rib.mark_stale(peer, drop_older=True)
        for family in self._settings[peer].families - kept:
            self._rib.sweep_stale(peer, family)
        awaited = [Awaited(peer, family) for family in kept]
        self._helping[peer] = Deferral.begin(awaited, now, session.remote.restart_time_s)
        return None

    def _back(self, session: Session, now: float) -> None:
        """Follow a restarted peer's return: what it did not preserve goes at once."""
        peer = session.peer
        helped = self._helping.pop(peer, None)
        if helped is None or session.remote is None:
            return
        kept = session.restart_families & session.remote.preserved_families
        lost = {item for item in helped.awaited if item.family not in kept}
        for item in lost:
            self._sweep(item)
        if helped.awaited - lost:
            self._helping[peer] = Deferral.begin(helped.awaited - lost, now, self._deferral_s)

    def _forget_what_was_not_negotiated(self, session: Session) -> None:
        """Wait for no End-of-RIB that cannot come: of a family that the peer did not offer."""
        if session.remote is None or session.local is None:
            return
        for family in self._settings[session.peer].families - session.families:
            awaited = Awaited(session.peer, family)
            self.after_start = self.after_start.received(*awaited)
            self._after_speaker = self._after_speaker.received(*awaited)
            self._sweep(awaited)

    def _sweep(self, awaited: Awaited) -> None:
        swept = self._rib.sweep_stale(awaited.peer, awaited.family)
        if swept:
            self.heard += 1
            _log.warning("stale paths dropped", extra={"peer": awaited.peer, "paths": swept})

    def expire(self, now: float) -> None:
        """Drop stale paths that were not learned again in time."""
        if self._after_speaker.awaited and not self._after_speaker.holds(now):
            for awaited in sorted(self._after_speaker.awaited):
                self._sweep(awaited)
            self._after_speaker = Deferral()
        for peer, helped in tuple(self._helping.items()):
            if not helped.holds(now):
                del self._helping[peer]
                for awaited in sorted(helped.awaited):
                    self._sweep(awaited)
