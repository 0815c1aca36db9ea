"""The verdict on the node: reasons in order of cause, ready at once, not ready after a while."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.reconcile.readiness import (
    ReadinessSettings,
    Reason,
    Signs,
    State,
    Verdict,
    first_verdict,
    judge,
    liveness,
)

GOOD = Signs(peers=4, established=4)
DOWN = Signs(peers=4, established=0)
SETTINGS = ReadinessSettings(not_ready_after_s=30)


def ready(now: float = 0.0) -> Verdict:
    return judge(first_verdict(now=now, resumed=False), GOOD, SETTINGS, now)


def test_a_first_start_is_not_ready_until_shown_otherwise() -> None:
    first = first_verdict(now=5.0, resumed=False)
    assert (first.state, first.reason, first.is_ready) == (State.NOT_READY, Reason.STARTING, False)
    assert ready(5.0).is_ready


def test_a_restart_leaves_its_predecessors_word_until_the_grace_is_over() -> None:
    verdict = first_verdict(now=0.0, resumed=True)
    verdict = judge(verdict, DOWN, SETTINGS, 29.0)
    assert verdict.state is State.RESUMING
    assert not verdict.is_ready
    verdict = judge(verdict, DOWN, SETTINGS, 30.0)
    assert (verdict.state, verdict.reason) == (State.NOT_READY, Reason.NO_SESSION)


def test_not_ready_only_after_an_uninterrupted_while() -> None:
    verdict = judge(ready(), DOWN, SETTINGS, 10.0)
    assert verdict.is_ready
    assert "no session" in verdict.wrong
    verdict = judge(verdict, GOOD, SETTINGS, 35.0)
    assert verdict.wrong_since is None
    verdict = judge(verdict, DOWN, SETTINGS, 39.0)
    assert judge(verdict, DOWN, SETTINGS, 68.9).is_ready
    assert not judge(verdict, DOWN, SETTINGS, 69.0).is_ready


def test_ready_again_at_once() -> None:
    down = judge(judge(ready(), DOWN, SETTINGS, 0.0), DOWN, SETTINGS, 30.0)
    assert judge(down, GOOD, SETTINGS, 30.1).is_ready


@pytest.mark.parametrize(
    ("signs", "reason", "text"),
    [
        pytest.param(
            replace(DOWN, waits_for_pod_cidr=True), Reason.NO_POD_CIDR, "no pod CIDR", id="cidr"
        ),
        pytest.param(replace(GOOD, faults=("speaker: x",)), Reason.FAULT, "speaker: x", id="fault"),
        pytest.param(
            replace(DOWN, forwarding="EPERM"), Reason.FORWARDING, "EPERM", id="forwarding"
        ),
        pytest.param(
            replace(GOOD, not_announced=("10.244.1.0/24: waits",)),
            Reason.NOT_ANNOUNCED,
            "10.244.1.0/24: waits",
            id="not-announced",
        ),
        pytest.param(DOWN, Reason.NO_SESSION, "with any of 4 peers", id="no-session"),
        pytest.param(Signs(), Reason.NO_SESSION, "no peer is configured", id="no-peer"),
        pytest.param(
            replace(GOOD, peers_behind=("a", "b", "c", "d")),
            Reason.NOT_ANNOUNCED,
            "sent to a, b, c, d",
            id="behind",
        ),
    ],
)
def test_reasons(signs: Signs, reason: Reason, text: str) -> None:
    verdict = judge(first_verdict(now=0, resumed=False), signs, SETTINGS, 1.0)
    assert (verdict.is_ready, verdict.reason) == (False, reason)
    assert text in verdict.text


def test_the_minimum_of_sessions_is_settable_and_never_above_the_peers() -> None:
    start = first_verdict(now=0, resumed=False)
    two = replace(SETTINGS, min_sessions=2)
    assert not judge(start, replace(GOOD, established=1), two, 1.0).is_ready
    assert judge(start, replace(GOOD, established=2), two, 1.0).is_ready
    assert judge(start, Signs(peers=1, established=1), two, 1.0).is_ready
    none = replace(SETTINGS, min_sessions=0)
    assert judge(start, Signs(), none, 1.0).is_ready


def test_one_newcomer_does_not_spoil_it() -> None:
    start = first_verdict(now=0, resumed=False)
    assert judge(start, replace(GOOD, peers_behind=("d",)), SETTINGS, 1.0).is_ready


def test_fail_open_concerns_the_fabric_and_not_our_own_faults() -> None:
    start = first_verdict(now=0, resumed=False)
    settings = replace(SETTINGS, fail_open=True)
    verdict = judge(start, DOWN, settings, 1.0)
    assert (verdict.is_ready, verdict.reason) == (True, Reason.NO_SESSION)
    assert "fail_open" in verdict.text
    assert not judge(start, replace(DOWN, forwarding="x"), settings, 1.0).is_ready


def test_the_text_of_a_lasting_state_does_not_change_by_itself() -> None:
    verdict = judge(first_verdict(now=0, resumed=False), DOWN, SETTINGS, 1.0)
    later = judge(verdict, DOWN, SETTINGS, 600.0)
    assert later == verdict


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from([GOOD, DOWN])), max_size=30))
def test_a_ready_node_becomes_not_ready_only_after_the_whole_while(
    steps: list[tuple[float, Signs]],
) -> None:
    now, verdict, bad_since = 0.0, ready(), None
    for wait, signs in steps:
        now += wait
        before, verdict = verdict, judge(verdict, signs, SETTINGS, now)
        bad_since = None if signs is GOOD else now if bad_since is None else bad_since
        if signs is GOOD:
            assert verdict.is_ready
        elif before.is_ready:
            assert bad_since is not None
            assert verdict.is_ready is (now - bad_since < SETTINGS.not_ready_after_s)
        assert verdict.text


def test_liveness_knows_only_the_loop() -> None:
    assert liveness(100.0, 129.0, longest_turn_s=30) == ""
    assert "has not turned for 31 s" in liveness(100.0, 131.0, longest_turn_s=30)
