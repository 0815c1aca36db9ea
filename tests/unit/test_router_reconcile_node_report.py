"""What BGPNodeStatus says, and when it is worth a write."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from router.reconcile.node_report import (
    COUNTERS_S,
    LEAST_S,
    SETTLE_S,
    Report,
    Rhythm,
    Said,
)

AT = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T03:14:05Z"
UP: dict[str, Any] = {
    "node": "node1",
    "peers": {"configured": 1, "established": 1},
    "sessions": [
        {
            "name": "tor1",
            "state": "established",
            "since": AT,
            "reason": None,
            "times_down": 0,
            "last_down": None,
            "last_down_at": None,
            "last_notification": {"sent": None, "received": {"text": "Cease (6/2)", "at": AT}},
            "families": [{"family": "ipv4", "received": 7}],
        }
    ],
    "routes": {"received": 7},
    "reasons": ["tor2 is held: too much; tried again in 37 s"],
}
READY = (Said("Ready", "True", "PodrouteReady", "all is well for 3 sessions"),)


def report(said: tuple[Said, ...] = READY, **session: Any) -> Report:
    status = copy.deepcopy(UP)
    status["sessions"][0] |= session
    return Report(status=status, conditions=said)


def other(**top: Any) -> Report:
    return Report(status={**UP, **top}, conditions=READY)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(report(families=[{"family": "ipv4", "received": 8}]), id="counts"),
        pytest.param(other(routes={"received": 8}), id="routes"),
        pytest.param(report(last_down_at=LATER), id="when an attempt failed"),
        pytest.param(
            report(
                last_notification={"sent": None, "received": {"text": "Cease (6/2)", "at": LATER}}
            ),
            id="when it was told so again",
        ),
        pytest.param(
            other(reasons=["tor2 is held: too much; tried again in 36 s"]), id="a time in words"
        ),
        pytest.param(
            report((Said("Ready", "True", "PodrouteReady", "all is well for 2 sessions"),)),
            id="a number in a message",
        ),
    ],
)
def test_what_only_counts_is_no_change(changed: Report) -> None:
    assert changed != report()
    assert changed.essence() == report().essence()


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(report(state="connect"), id="state"),
        pytest.param(report(since=LATER), id="another session"),
        pytest.param(report(times_down=1), id="flap"),
        pytest.param(report(last_down="Hold Timer Expired (4/0), sent"), id="why it went down"),
        pytest.param(other(reasons=[]), id="reasons"),
        pytest.param(other(peers={"configured": 2, "established": 1}), id="peers"),
        pytest.param(report((Said("Ready", "False", "PodrouteFault", ""),)), id="condition"),
    ],
)
def test_what_is_a_change(changed: Report) -> None:
    assert changed.essence() != report().essence()


def test_vain_attempts_are_no_change() -> None:
    attempts = [
        report(state=state, since=since)
        for state in ("connect", "open_sent", "active", "idle")
        for since in (AT, LATER)
    ]
    assert len({each.essence() for each in attempts}) == 1


def test_a_condition_keeps_the_time_at_which_it_turned() -> None:
    first = report().rendered([], AT)
    assert first["conditions"] == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "PodrouteReady",
            "message": "all is well for 3 sessions",
            "lastTransitionTime": AT,
        }
    ]
    second = report().rendered(first["conditions"], LATER)
    assert second["updated"] == LATER
    assert second["conditions"][0]["lastTransitionTime"] == AT
    fault = report((Said("Ready", "False", "PodrouteFault", "no"),))
    third = fault.rendered(second["conditions"], LATER)
    assert third["conditions"][0]["lastTransitionTime"] == LATER


def test_no_nulls_and_nothing_without_bounds_is_written() -> None:
    said = (Said("Ready", "False", "PodrouteFault", "x" * 5000),)
    found = Report(
        status={**UP, "reasons": [f"{n} " + "y" * 5000 for n in range(200)]}, conditions=said
    ).rendered([{"type": "Ready", "status": "True"}, "odd"], AT)
    assert "None" not in repr(found)
    assert len(found["reasons"]) == 50
    assert found["reasons"][-1] == "and 151 more"
    assert max(map(len, found["reasons"])) == 1024
    assert len(found["conditions"][0]["message"]) == 1024


# --- when ----------------------------------------------------------------------------------------


def test_the_first_report_is_written_at_once() -> None:
    rhythm = Rhythm()
    assert rhythm.wait_s(100.0, 0.0) is None
    assert rhythm.want(report(), 100.0)
    assert rhythm.wait_s(100.0, 0.0) == SETTLE_S
    assert rhythm.wait_s(101.0, 0.0) == 0.0
    rhythm.tried(101.0)
    rhythm.wrote(report())
    assert rhythm.wait_s(102.0, 0.0) is None
    assert not rhythm.want(report(), 103.0)


def test_a_change_waits_for_what_was_written_last() -> None:
    rhythm = Rhythm()
    rhythm.want(report(), 0.0)
    rhythm.tried(1.0)
    rhythm.wrote(report())
    rhythm.want(report(times_down=1), 2.0)
    assert rhythm.wait_s(2.0, 0.0) == 1.0 + LEAST_S - 2.0
    # Further changes do not put it off.
    rhythm.want(report(times_down=2), 10.9)
    assert rhythm.wait_s(11.0, 0.0) == 0.0
    # A change that is undone in time was none.
    rhythm.want(report(), 10.95)
    assert rhythm.wait_s(11.0, 0.0) is None


def test_counters_wait_five_minutes_and_each_node_a_little_longer() -> None:
    rhythm = Rhythm()
    rhythm.want(report(), 0.0)
    rhythm.tried(1.0)
    rhythm.wrote(report())
    rhythm.want(other(routes={"received": 9}), 2.0)
    assert rhythm.wait_s(2.0, 0.0) == 1.0 + COUNTERS_S - 2.0
    assert rhythm.wait_s(1.0, 1.0) == pytest.approx(COUNTERS_S * 1.2)
    rhythm.forget()
    assert rhythm.wait_s(20.0, 0.0) == 0.0
