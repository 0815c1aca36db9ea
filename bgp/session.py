"""Session: what each peer's session is doing and why it last went down. PURE.

A table (state, input) -> state, as far as the speaker lets us see the state machine of
RFC 4271 section 8; a pair that is missing is an error, not a guess. Clock readings are given
in: `at` is wall time in seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, assert_never

from bgp.errors import BgpError
from bgp.event import (
    Connected,
    Direction,
    EndOfRib,
    Notified,
    Opened,
    PeerEvent,
    Refreshed,
    Sent,
    SessionDown,
    SessionUp,
    Updated,
)
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.session_words import (
    ending_reason,
    ending_text,
    named_notification,
    notification_text,
)


class State(StrEnum):
    """States of RFC 4271 section 8.2.2; Active and OpenConfirm cannot be seen from here."""

    IDLE = "idle"
    """The speaker does not run."""
    CONNECT = "connect"
    """The speaker dials."""
    OPEN_SENT = "open_sent"
    """TCP stands, OPEN and KEEPALIVE are being exchanged."""
    ESTABLISHED = "established"


class Input(StrEnum):
    """What moves a session."""

    START = "start"
    STOP = "stop"
    CONNECTED = "connected"
    OPENED = "opened"
    UP = "up"
    DOWN = "down"
    NOTIFIED = "notified"
    MESSAGE = "message"


TRANSITIONS: dict[tuple[State, Input], State] = {
    (State.IDLE, Input.START): State.CONNECT,
    (State.IDLE, Input.STOP): State.IDLE,
    (State.CONNECT, Input.START): State.CONNECT,
    (State.CONNECT, Input.STOP): State.IDLE,
    (State.CONNECT, Input.CONNECTED): State.OPEN_SENT,
    (State.CONNECT, Input.DOWN): State.CONNECT,
    (State.CONNECT, Input.NOTIFIED): State.CONNECT,
    (State.OPEN_SENT, Input.START): State.CONNECT,
    (State.OPEN_SENT, Input.STOP): State.IDLE,
    (State.OPEN_SENT, Input.CONNECTED): State.OPEN_SENT,
    (State.OPEN_SENT, Input.OPENED): State.OPEN_SENT,
    (State.OPEN_SENT, Input.NOTIFIED): State.OPEN_SENT,
    (State.OPEN_SENT, Input.UP): State.ESTABLISHED,
    (State.OPEN_SENT, Input.DOWN): State.CONNECT,
    (State.ESTABLISHED, Input.START): State.CONNECT,
    (State.ESTABLISHED, Input.STOP): State.IDLE,
    (State.ESTABLISHED, Input.NOTIFIED): State.ESTABLISHED,
    (State.ESTABLISHED, Input.MESSAGE): State.ESTABLISHED,
    (State.ESTABLISHED, Input.DOWN): State.CONNECT,
}


class TransitionError(BgpError):
    """The speaker told something that cannot happen in this state."""

    def __init__(self, peer: PeerId, state: State, given: Input) -> None:
        super().__init__(peer, state, given)
        self.peer = peer
        self.state = state
        self.given = given

    def __str__(self) -> str:
        return f"peer {self.peer}: input {self.given} in state {self.state}"


class Told(NamedTuple):
    """A NOTIFICATION in words, and when it was sent or received (wall time)."""

    text: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Everything to know about the session with one peer; replaced, never changed."""

    peer: PeerId
    state: State = State.IDLE
    since: float
    """When the present state began."""
    last_down: str = ""
    """Why the last established session ended, or the NOTIFICATION that ended an attempt.

    A refused attempt stands here only while there is nothing better to say.
    """
    last_down_at: float | None = None
    times_down: int = 0
    """Established sessions lost since the agent started."""
    remote: Opened | None = None
    """The peer's OPEN of this session; kept after it ended, for graceful restart."""
    local: Opened | None = None
    last_attempt: str = ""
    """Why the last attempt since then failed; "" once a session is established."""
    notification: str = ""
    """Of the session now ending; becomes `last_down`."""
    last_sent: Told | None = None
    """The last NOTIFICATION that we sent to the peer."""
    last_received: Told | None = None
    """The last one that the peer sent."""
    end_of_rib_received: frozenset[int] = frozenset()
    end_of_rib_sent: frozenset[int] = frozenset()
    announced: frozenset[Prefix] = field(default=frozenset(), repr=False)
    """What we have announced on this session and not withdrawn (Adj-RIB-Out)."""

    @property
    def is_established(self) -> bool:
        """Tell whether routes are exchanged."""
        return self.state is State.ESTABLISHED

    @property
    def hold_time_s(self) -> int | None:
        """Negotiated hold time, the smaller of both OPENs (RFC 4271 section 4.2)."""
        if self.remote is None or self.local is None:
            return None
        return min(self.remote.hold_time_s, self.local.hold_time_s)

    @property
    def families(self) -> frozenset[int]:
        """Families that both OPENs offered."""
        if self.remote is None or self.local is None:
            return frozenset()
        return self.remote.families & self.local.families

    @property
    def restart_families(self) -> frozenset[int]:
        """Families whose routes stay when the peer restarts: both OPENs have the capability."""
        if self.remote is None or self.local is None:
            return frozenset()
        if self.remote.restart_time_s is None or self.local.restart_time_s is None:
            return frozenset()
        return self.families & self.remote.restart_families & self.local.restart_families

    def announced_in(self, family: int) -> int:
        """Count what we have announced in the family."""
        return sum(1 for prefix in self.announced if prefix.family == family)

    def uptime_s(self, at: float) -> float:
        """Give for how long the session has been established; 0 if it is not."""
        return max(0.0, at - self.since) if self.is_established else 0.0


def start(session: Session, at: float) -> Session:
    """The speaker started: the session dials anew."""
    return _move(session, Input.START, at, "the speaker restarted")


def stop(session: Session, at: float, reason: str) -> Session:
    """The speaker went away, and the session with it, for the reason given in words."""
    return _move(session, Input.STOP, at, reason)


def advance(session: Session, event: PeerEvent, at: float) -> Session:
    """Give the session after the event. Raises TransitionError for an impossible one."""
    match event:
        case Connected():
            fresh = _move(session, Input.CONNECTED, at)
            return replace(fresh, remote=None, local=None, notification="")
        case Opened():
            moved = _move(session, Input.OPENED, at)
            if event.direction is Direction.SENT:
                return replace(moved, local=event)
            return replace(moved, remote=event)
        case SessionUp():
            return _move(session, Input.UP, at)
        case Notified():
            notified = replace(_move(session, Input.NOTIFIED, at), notification=ending_text(event))
            return _note(notified, event.direction, notification_text(event), at)
        case SessionDown():
            has_open = session.remote is not None
            why = session.notification or ending_reason(event.reason, has_open=has_open)
            ended = _move(session, Input.DOWN, at, why)
            return ended if session.notification else _note_ending(ended, event.reason, at)
        case EndOfRib() | Sent() | Updated() | Refreshed():
            return _exchange(_move(session, Input.MESSAGE, at), event)
    assert_never(event)


def families_kept(session: Session, event: SessionDown) -> frozenset[int]:
    """Tell whose routes outlive this end of the session (RFC 4724 section 4.2).

    Only the bare end of the connection is a restart: any NOTIFICATION, sent (the hold timer) or
    received (a planned end), means that the peer's routes are gone. Without the N bit of RFC 8538
    there is no exception.
    """
    if not session.is_established or session.notification or named_notification(event.reason):
        return frozenset()
    return session.restart_families


def _exchange(session: Session, event: EndOfRib | Sent | Updated | Refreshed) -> Session:
    if isinstance(event, EndOfRib):
        received = session.end_of_rib_received | {event.family}
        return replace(session, end_of_rib_received=received)
    return _sent(session, event) if isinstance(event, Sent) else session


def _move(session: Session, given: Input, at: float, reason: str = "") -> Session:
    try:
        state = TRANSITIONS[session.state, given]
    except KeyError:
        raise TransitionError(session.peer, session.state, given) from None
    if state is session.state and given is not Input.DOWN:
        return session
    if session.is_established or given is Input.DOWN:
        session = _end(session, at, reason)
    if state is State.ESTABLISHED:
        session = replace(
            session,
            last_attempt="",
            end_of_rib_received=frozenset(),
            end_of_rib_sent=frozenset(),
        )
    return replace(session, state=state, since=session.since if state is session.state else at)


def _end(session: Session, at: float, reason: str) -> Session:
    ended = replace(session, notification="", announced=frozenset())
    if session.is_established:
        ended = replace(ended, times_down=session.times_down + 1)
    else:
        ended = replace(ended, last_attempt=reason)
    if session.is_established or session.notification or not session.last_down:
        ended = replace(ended, last_down=reason, last_down_at=at)
    return ended


def _sent(session: Session, event: Sent) -> Session:
    if event.announced or event.withdrawn:
        announced = session.announced.difference(event.withdrawn).union(event.announced)
        session = replace(session, announced=announced)
    if event.end_of_rib is not None:
        sent = session.end_of_rib_sent | {event.end_of_rib}
        session = replace(session, end_of_rib_sent=sent)
    return session


def _note(session: Session, direction: Direction, text: str, at: float) -> Session:
    told = Told(text, at)
    if direction is Direction.SENT:
        return replace(session, last_sent=told)
    return replace(session, last_received=told)


def _note_ending(session: Session, reason: str, at: float) -> Session:
    """Note the NOTIFICATION that ExaBGP names only as the reason of an end, if it does."""
    told = named_notification(reason)
    return session if told is None else _note(session, *told, at)
