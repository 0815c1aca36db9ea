"""Events of what an operator must act on: when they come, and that they do not come too often."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from router.agent.concerns import AGAIN_S, LONG_S, Concern, Concerns, configuration, pools, sessions
from router.agent.pool_watch import PoolWatch
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down
from tests.support.wait import wait_until

LATE = Concern("k", "Reason", "wrong", "right again", after_s=10)


def test_it_is_told_once_it_lasts_hourly_and_when_it_is_over() -> None:
    concerns = Concerns()
    assert concerns.follow([LATE], 0.0) == []
    assert concerns.follow([LATE], 9.9) == []
    (first,) = concerns.follow([LATE], 10.0)
    assert (first.reason, first.text, first.is_warning) == ("Reason", "wrong", True)
    assert all(concerns.follow([LATE], now) == [] for now in (11.0, 1000.0, 10 + AGAIN_S - 1))
    assert [told.text for told in concerns.follow([LATE], 10 + AGAIN_S)] == ["wrong"]
    (over,) = concerns.follow([], 5000.0)
    assert (over.text, over.is_warning) == ("right again", False)
    assert concerns.follow([], 5001.0) == []


def test_what_does_not_last_is_never_told() -> None:
    concerns = Concerns()
    for start in range(0, 100, 20):
        assert concerns.follow([LATE], start) == []
        assert concerns.follow([LATE], start + 9) == []
        assert concerns.follow([], start + 10) == []


def test_a_text_that_changes_is_the_same_concern() -> None:
    concerns = Concerns()
    concerns.follow([LATE], 0.0)
    assert len(concerns.follow([LATE._replace(text="a")], 10.0)) == 1
    assert concerns.follow([LATE._replace(text="b")], 11.0) == []


def test_a_session_that_is_down_for_long() -> None:
    bench = Bench()
    bench.establish("tor1", "tor2")
    concerns = Concerns()
    assert list(sessions(bench.agent)) == []
    bench.step(down("tor2"))
    assert concerns.follow(sessions(bench.agent), 0.0) == []
    assert concerns.follow(sessions(bench.agent), LONG_S - 1) == []
    (told,) = concerns.follow(sessions(bench.agent), LONG_S)
    assert told.reason == "PodroutePeerDown"
    assert "tor2 (10.0.2.2) for 5 minutes" in told.text
    bench.establish("tor2")
    (over,) = concerns.follow(sessions(bench.agent), LONG_S + 1)
    assert over.text == "the session with tor2 is up again"


def test_a_password_that_is_missing() -> None:
    bench = Bench(config=CONFIG.replace("65102}", "65102, password_secret: {name: bgp, key: t}}"))
    bench.establish("tor1")
    (concern,) = sessions(bench.agent)
    assert concern.reason == "PodroutePeerDisabled"
    assert concern.text.startswith("tor2 is disabled: its password is not there")


def test_a_wanted_shutdown_concerns_nobody() -> None:
    bench = Bench(config=CONFIG.replace("65102}", "65102, shutdown: true}"))
    bench.establish("tor1")
    assert list(sessions(bench.agent)) == []


def test_configuration_and_pools() -> None:
    assert list(configuration("")) == list(pools(())) == []
    (rejected,) = configuration("line 3: peers[0].address: nonsense")
    assert "line 3: peers[0].address" in rejected.text
    assert [c.key for c in pools(("10.244.1.0/24", "x"))] == ["pool 10.244.1.0/24", "pool x"]


@pytest.mark.parametrize("ends_with", ["answer", "silence"])
def test_the_pools_are_watched(ends_with: str) -> None:
    answers: list[Mapping[str, Any]] = [
        {"pools": [{"name": "a", "size": 2, "in_use": 1}]},
        {"pools": [{"name": "a", "size": 2, "in_use": 2}, {"name": "b", "size": 2, "in_use": 0}]},
    ]
    asked = threading.Event()

    def ask() -> Mapping[str, Any]:
        if answers:
            return answers.pop(0)
        asked.set()
        if ends_with == "silence":
            raise OSError("nobody there")
        return {"pools": []}

    watch = PoolWatch(ask, pause_s=0.001)
    try:
        assert asked.wait(30)
        wait_until(
            lambda: watch.full == (("a",) if ends_with == "silence" else ()),
            deadline_s=30,
            what="the last word that there was",
        )
    finally:
        watch.close()
