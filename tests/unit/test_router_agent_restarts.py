"""The agent as graceful restart helper (RFC 4724), and a peer's announced end (RFC 8326)."""

from __future__ import annotations

import pytest

from bgp.event import Change, Direction, Event, Notified, SpeakerExited, SpeakerStarted, Updated
from bgp.path import GRACEFUL_SHUTDOWN
from bgp.peer_id import PeerId
from tests.support.agent import Bench
from tests.support.bgp_events import down, end_of_rib, establishing, update

POD = "10.244.2.0/24"


@pytest.fixture
def graceful() -> Bench:
    """Both ToRs have graceful restart, 60 s; only tor1 announces."""
    made = Bench()
    made.establish("tor1", "tor2", restart_time_s=60)
    made.step(update("tor1", POD, "10.244.3.0/24"), end_of_rib("tor1"), end_of_rib("tor2"))
    return made


def test_a_restarting_tors_routes_stay_until_its_end_of_rib(graceful: Bench) -> None:
    before = len(graceful.kernel.applied)
    graceful.step(down("tor1"))
    graceful.step(after_s=59)
    graceful.step(*establishing("tor1", 60))
    graceful.step(update("tor1", POD), after_s=100)
    assert graceful.routes().keys() == {POD, "10.244.3.0/24"}
    assert len(graceful.kernel.applied) == before
    graceful.step(end_of_rib("tor1"))
    assert graceful.routes() == {POD: {"10.0.1.2"}}


def test_a_restarting_tor_that_does_not_come_back_in_its_time(graceful: Bench) -> None:
    graceful.step(down("tor1"))
    graceful.step(after_s=59)
    assert graceful.routes()
    graceful.step(after_s=2)
    assert graceful.routes() == {}


def test_a_restarted_tor_that_never_sends_end_of_rib(graceful: Bench) -> None:
    graceful.step(down("tor1"))
    graceful.step(*establishing("tor1", 60), update("tor1", POD))
    graceful.step(after_s=119)
    assert graceful.routes().keys() == {POD, "10.244.3.0/24"}
    graceful.step(after_s=2)
    assert graceful.routes().keys() == {POD}


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(establishing("tor1", 60, preserved=False), id="F bit clear"),
        pytest.param(establishing("tor1", None), id="no capability"),
    ],
)
def test_a_restarted_tor_that_did_not_keep_its_routes(
    graceful: Bench, opening: tuple[Event, ...]
) -> None:
    graceful.step(down("tor1"))
    assert graceful.routes()
    graceful.step(*opening)
    assert graceful.routes() == {}


def test_a_tor_that_restarts_twice_loses_what_it_did_not_tell_again(graceful: Bench) -> None:
    graceful.step(down("tor1"))
    graceful.step(*establishing("tor1", 60), update("tor1", POD), down("tor1"))
    assert graceful.routes().keys() == {POD}


@pytest.mark.parametrize("direction", list(Direction))
def test_a_notification_is_no_restart(graceful: Bench, direction: Direction) -> None:
    said = Notified(peer=PeerId("tor1"), direction=direction, code=4, subcode=0)
    graceful.step(said, down("tor1"))
    assert graceful.routes() == {}


def test_a_speaker_that_dies_while_a_tor_restarts(graceful: Bench) -> None:
    graceful.step(down("tor1"))
    graceful.step(SpeakerExited(status=-9, reason="killed"))
    graceful.step(SpeakerStarted(pid=8), *establishing("tor1", 60), after_s=5)
    assert graceful.routes()
    graceful.step(update("tor1", POD), end_of_rib("tor1"), end_of_rib("tor2"))
    assert graceful.routes().keys() == {POD}


def test_a_tor_that_says_it_goes_is_used_last() -> None:
    bench = Bench()
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", POD), update("tor2", POD))
    assert bench.routes() == {POD: {"10.0.1.2", "10.0.2.2"}}
    (before,) = update("tor1", POD).changes
    assert before.attributes is not None
    going = before.attributes.changed(communities=(GRACEFUL_SHUTDOWN,))
    bench.step(Updated(peer=PeerId("tor1"), changes=[Change(going, before.announced)]))
    assert bench.routes() == {POD: {"10.0.2.2"}}
    bench.step(update("tor2", withdrawn=[POD]))
    assert bench.routes() == {POD: {"10.0.1.2"}}
