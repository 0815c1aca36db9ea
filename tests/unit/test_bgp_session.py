"""The session table: every pair is decided, and reasons are in words."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest

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
from bgp.notification import name_notification
from bgp.peer_id import PeerId
from bgp.session import (
    TRANSITIONS,
    Input,
    Session,
    State,
    TransitionError,
    advance,
    start,
    stop,
)

PEER = PeerId("tor1")
POD = Prefix.parse("10.244.1.0/24")
NEW = Session(peer=PEER, since=0.0)


def opened(direction: Direction, hold_time_s: int = 9, **changes: Any) -> Opened:
    values: dict[str, Any] = {
        "peer": PEER,
        "direction": direction,
        "asn": 65101,
        "hold_time_s": hold_time_s,
        "router_id": "10.255.0.1",
        "families": frozenset({4}),
        "restart_time_s": 120,
        "restarting": False,
        "restart_families": frozenset({4}),
        "preserved_families": frozenset(),
        "capabilities": frozenset(),
    }
    return Opened(**{**values, **changes})


UP = SessionUp(peer=PEER, local_address=ip_address("10.0.1.3"))
HANDSHAKE: tuple[PeerEvent, ...] = (
    Connected(peer=PEER),
    opened(Direction.SENT),
    opened(Direction.RECEIVED, 6),
    UP,
)


def run(session: Session, *events: PeerEvent, at: float = 1.0) -> Session:
    for event in events:
        session = advance(session, event, at)
    return session


def established(at: float = 1.0) -> Session:
    return run(start(NEW, at), *HANDSHAKE, at=at)


def down(reason: str) -> SessionDown:
    return SessionDown(peer=PEER, reason=reason)


def notified(direction: Direction, code: int, subcode: int, text: str = "") -> Notified:
    return Notified(peer=PEER, direction=direction, code=code, subcode=subcode, text=text)


def test_way_up() -> None:
    session = established()

    assert session.state is State.ESTABLISHED
    assert session.since == 1.0
    assert session.hold_time_s == 6
    assert session.families == {4}
    assert session.uptime_s(11.0) == 10.0
    assert session.last_down == ""


def test_adj_rib_out_and_end_of_rib() -> None:
    session = run(
        established(),
        Sent(peer=PEER, announced=(POD,)),
        Sent(peer=PEER, end_of_rib=4),
        EndOfRib(peer=PEER, family=4),
        Updated(peer=PEER, changes=()),
        Refreshed(peer=PEER, family=4),
    )

    assert session.announced_in(4) == 1
    assert session.announced_in(6) == 0
    assert session.end_of_rib_sent == {4}
    assert session.end_of_rib_received == {4}
    assert run(session, Sent(peer=PEER, withdrawn=(POD,))).announced == frozenset()


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ((down("closing connection"),), "peer closed the connection"),
        (
            (notified(Direction.SENT, 4, 0), down("notification sent (4,0)")),
            "hold timer expired (4/0), sent",
        ),
        ((down("notification received (6,4)"),), "administrative reset (6/4), received"),
        (
            (notified(Direction.RECEIVED, 6, 2, "see you"), down("whatever")),
            'administrative shutdown (6/2), received: "see you"',
        ),
        ((down("something new"),), "something new"),
        ((down(""),), "the speaker gave no reason"),
    ],
)
def test_way_down_in_words(events: tuple[PeerEvent, ...], reason: str) -> None:
    session = run(established(), *events, at=5.0)

    assert session.state is State.CONNECT
    assert session.last_down == reason
    assert session.last_down_at == 5.0
    assert session.times_down == 1
    assert session.announced == frozenset()
    assert session.uptime_s(9.0) == 0.0


def test_refused_attempts_do_not_hide_the_reason() -> None:
    lost = run(established(), down("closing connection"))
    again = run(
        lost, Connected(peer=PEER), opened(Direction.SENT), down("closing connection"), at=7.0
    )

    assert again.last_down == "peer closed the connection"
    assert again.last_attempt == "refused, not answered, or closed by the peer before its OPEN"
    assert again.times_down == 1
    assert run(again, *HANDSHAKE).last_attempt == ""


def test_refusal_is_said_when_there_is_nothing_better() -> None:
    session = run(start(NEW, 0), Connected(peer=PEER), down("closing connection"))

    assert session.last_down == "refused, not answered, or closed by the peer before its OPEN"
    assert session.times_down == 0


def test_speaker_comes_and_goes() -> None:
    session = stop(established(), 4.0, "ended by signal SIGKILL")

    assert session.state is State.IDLE
    assert session.last_down == "ended by signal SIGKILL"
    assert session.times_down == 1
    assert stop(session, 5.0, "again") == session
    assert start(session, 6.0).state is State.CONNECT
    assert start(established(), 6.0).last_down == "the speaker restarted"


def test_every_pair_moves_or_is_an_error() -> None:
    events: dict[Input, PeerEvent] = {
        Input.CONNECTED: Connected(peer=PEER),
        Input.OPENED: opened(Direction.SENT),
        Input.UP: UP,
        Input.DOWN: down(""),
        Input.NOTIFIED: notified(Direction.SENT, 6, 0),
        Input.MESSAGE: Updated(peer=PEER, changes=()),
    }
    for state, given in product(State, events):
        session = Session(peer=PEER, since=0.0, state=state)
        if (state, given) in TRANSITIONS:
            assert advance(session, events[given], 1.0).state is TRANSITIONS[state, given]
        else:
            with pytest.raises(TransitionError, match=f"input {given} in state {state}"):
                advance(session, events[given], 1.0)


@pytest.mark.parametrize(
    ("code", "subcode", "name"),
    [
        (6, 9, "hard reset"),
        (6, 10, "BFD down"),
        (6, 200, "cease"),
        (2, 2, "bad peer AS"),
        (99, 1, "unknown error"),
    ],
)
def test_names(code: int, subcode: int, name: str) -> None:
    assert name_notification(code, subcode) == name


@pytest.mark.parametrize("direction", list(Direction))
def test_the_last_notification_of_each_direction_outlives_the_session(
    direction: Direction,
) -> None:
    session = NEW
    events: list[PeerEvent] = [
        Connected(peer=PEER),
        Notified(peer=PEER, direction=direction, code=6, subcode=2, text="bye"),
        SessionDown(peer=PEER, reason="closing connection"),
        Connected(peer=PEER),
    ]
    session = start(session, 1.0)
    for at, event in enumerate(events, start=2):
        session = advance(session, event, float(at))
    told = {Direction.SENT: session.last_sent, Direction.RECEIVED: session.last_received}
    assert told.pop(direction) == (f'{name_notification(6, 2)} (6/2): "bye"', 3.0)
    assert list(told.values()) == [None]


def test_a_notification_that_is_named_only_as_the_reason_is_noted_too() -> None:
    session = start(NEW, 1.0)
    session = advance(session, Connected(peer=PEER), 2.0)
    ended = SessionDown(peer=PEER, reason="notification sent (4,0)")
    session = advance(session, ended, 3.0)
    assert session.last_sent == (f"{name_notification(4, 0)} (4/0)", 3.0)
    assert session.last_received is None
