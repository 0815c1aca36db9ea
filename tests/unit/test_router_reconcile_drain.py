"""The drain: its phases, what it writes down, and what outlives the agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.nlri import Prefix
from router.agent.drain_file import DrainFile
from router.reconcile import drain, drain_plan
from router.reconcile.drain import (
    ACKNOWLEDGE_LIMIT_S,
    TRANSITIONS,
    DamagedDrainError,
    Drain,
    Input,
    Order,
    Phase,
    Stored,
)

ORDER = Order(since=1000.0, prepend=2, wait_s=30.0)
OWN, NODE = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.255.1.1/32")


def go(state: Drain, now: float, *, acknowledged: bool = False) -> Drain:
    return drain.advance(state, acknowledged=acknowledged, now=now)


def test_each_phase_waits_for_what_it_needs() -> None:
    state = drain.begin(Drain(), ORDER, 0.0)
    assert (state.phase, state.is_marked, state.is_withdrawn) == (Phase.MARKING, True, False)
    assert go(state, 59.9) == state
    state = go(state, 5.0, acknowledged=True)
    assert state.phase is Phase.WAITING
    assert go(state, 34.9, acknowledged=True) == state, "30 s since the acknowledgement"
    state = go(state, 35.0)
    assert (state.phase, state.is_withdrawn) == (Phase.WITHDRAWING, True)
    state = go(state, 36.0, acknowledged=True)
    assert state.phase is Phase.DRAINED
    assert go(state, 1e9, acknowledged=True) == state
    assert state.overdue == ""
    assert drain.cancel(state) == Drain()


def test_a_peer_that_never_acknowledges_is_told_and_not_waited_for() -> None:
    state = go(drain.begin(Drain(), ORDER, 0.0), ACKNOWLEDGE_LIMIT_S)
    assert state.phase is Phase.WAITING
    assert "not every peer acknowledged in time" in state.describe()
    state = go(go(state, 1000.0), 2000.0)
    assert state.phase is Phase.DRAINED
    assert "not every peer" in state.describe()


def test_a_second_order_begins_anew_unless_the_node_is_withdrawn_already() -> None:
    waiting = go(drain.begin(Drain(), ORDER, 0.0), 1.0, acknowledged=True)
    again = drain.begin(waiting, Order(since=2000.0, wait_s=5.0), 10.0)
    assert (again.phase, again.prepend) == (Phase.MARKING, 0)
    withdrawing = go(waiting, 40.0)
    assert drain.begin(withdrawing, ORDER, 41.0).until == withdrawing.until
    drained = go(withdrawing, 42.0, acknowledged=True)
    assert drain.begin(drained, ORDER, 50.0).phase is Phase.DRAINED


@pytest.mark.parametrize(
    ("stored", "phase"),
    [
        (None, Phase.NONE),
        (Stored(order=ORDER), Phase.MARKING),
        (Stored(order=ORDER, withdrawn=True), Phase.WITHDRAWING),
    ],
)
def test_what_is_written_down_decides_where_the_next_agent_begins(
    stored: Stored | None, phase: Phase
) -> None:
    state = drain.resume(stored, 0.0)
    assert state.phase is phase
    assert drain.stored(state) == stored


@given(
    st.lists(
        st.tuples(st.sampled_from(["order", "cancel", "look", "restart"]), st.booleans()),
        max_size=30,
    )
)
def test_once_withdrawn_only_undrain_announces_again(script: list[tuple[str, bool]]) -> None:
    state, now = Drain(), 0.0
    for kind, acknowledged in script:
        now += 20.0
        before = state
        if kind == "order":
            state = drain.begin(state, ORDER, now)
        elif kind == "cancel":
            state = drain.cancel(state)
        elif kind == "restart":
            state = drain.resume(drain.stored(state), now)
        else:
            state = drain.advance(state, acknowledged=acknowledged, now=now)
        assert state.is_marked or state.order is None
        assert state.is_marked or kind == "cancel" or not before.is_marked
        assert state.is_withdrawn or kind == "cancel" or not before.is_withdrawn
        assert bool(state.describe()) == state.is_marked


def test_the_table_leaves_out_only_what_cannot_happen() -> None:
    assert {phase for phase, given_ in TRANSITIONS if given_ is Input.ORDER} == set(Phase)
    assert {phase for phase, given_ in TRANSITIONS if given_ is Input.CANCEL} == set(Phase)


class TestPlan:
    def test_order_of_the_steps(self) -> None:
        steps = drain_plan.plan(
            Drain(), ORDER, announced=(OWN, NODE), kept=(NODE,), peers=("tor1", "tor2")
        )
        assert [step.describe() for step in steps] == [
            "write down the order, for restarts and reboots",
            "announce 10.244.1.0/24, 10.255.1.1/32 to tor1, tor2 with GRACEFUL_SHUTDOWN"
            " (65535:0), our AS prepended 2 times",
            "wait until tor1, tor2 acknowledged, at most 60 s each",
            "wait 30 s",
            "write down nothing may be announced any more, for restarts and reboots",
            "withdraw 10.244.1.0/24 from tor1, tor2",
            "wait until tor1, tor2 acknowledged, at most 60 s each",
        ]

    def test_a_drained_node_has_nothing_left_to_do(self) -> None:
        state = drain.resume(Stored(order=ORDER, withdrawn=True), 0.0)
        assert drain_plan.plan(state, ORDER, announced=(), kept=(), peers=("tor1",)) == ()


class TestFile:
    def test_comes_back_as_it_was_saved(self, tmp_path: Path) -> None:
        file = DrainFile(tmp_path / "state")
        assert file.load() is None
        file.save(None)
        for stored in (Stored(order=ORDER), Stored(order=ORDER, withdrawn=True)):
            file.save(stored)
            assert DrainFile(tmp_path / "state").load() == stored
        assert [path.name for path in (tmp_path / "state").iterdir()] == ["drain.json"]
        file.save(None)
        assert file.load() is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            "\xff",
            '{"version": 2}',
            '{"version": 1, "since": 1, "prepend": 0, "wait_s": 30, "withdrawn": "yes"}',
            '{"version": 1, "since": 1, "prepend": 99, "wait_s": 30, "withdrawn": true}',
            '{"version": 1, "since": 1, "prepend": 0, "wait_s": -1, "withdrawn": true}',
        ],
    )
    def test_a_damaged_file_names_itself(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "drain.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(DamagedDrainError, match=r"drain\.json"):
            DrainFile(tmp_path).load()
