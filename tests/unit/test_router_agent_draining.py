"""A drain in the agent's loop, against models: what is announced, told and kept when."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent import drain_requests, view
from router.agent.api import RequestError
from router.agent.drain_file import DrainFile
from router.reconcile.drain import Order, Phase
from router.reconcile.readiness import Reason, State
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import end_of_rib, update

OWN = Prefix.parse("10.244.1.0/24")
NODE = Prefix.parse("10.255.1.1/32")
END = {"end_of_rib": 4}
POD = "10.244.2.0/24"


@pytest.fixture
def store(tmp_path: Path) -> DrainFile:
    return DrainFile(tmp_path)


def started(store: DrainFile, config: str = CONFIG) -> Bench:
    bench = Bench(config=config, drain=store)
    bench.establish("tor1", "tor2")
    for name in ("tor1", "tor2"):
        networks = bench.speaker.configured[-1].networks
        bench.step(update(name, POD), end_of_rib(name))
        bench.step(*(Sent(peer=PeerId(name), **what) for what in ({"announced": networks}, END)))
    return bench


def order(bench: Bench, **fields: float) -> None:
    bench.agent.draining.order(Order(since=0.0, **fields), bench.now)  # type: ignore[arg-type]


def test_marked_until_acknowledged_then_waited_then_withdrawn(store: DrainFile) -> None:
    bench = started(store)
    bench.speaker.settled = False
    order(bench, prepend=3, wait_s=10.0)
    bench.step()
    config = bench.speaker.configured[-1]
    assert (config.going_away, config.prepend, set(config.networks)) == (True, 3, {OWN, NODE})
    bench.step(after_s=5)
    assert bench.agent.draining.state.phase is Phase.MARKING
    bench.speaker.settled = True
    bench.step()
    assert bench.agent.draining.state.phase is Phase.WAITING
    bench.step(after_s=9)
    assert bench.speaker.configured[-1].networks == (OWN, NODE)
    assert bench.agent.verdict.is_ready
    bench.step(after_s=2)
    assert bench.speaker.configured[-1].networks == ()
    bench.step()
    assert bench.agent.draining.state.phase is Phase.DRAINED
    assert (bench.agent.verdict.state, bench.agent.verdict.reason) == (
        State.NOT_READY,
        Reason.DRAINED,
    )
    assert OWN in bench.kernel.fib.unreachables
    assert Prefix.parse(POD) in bench.kernel.fib.routes, "its own routes to others stay"
    assert bench.published[-1].ready, "pods still get an address"


def test_drain_outlives_the_agent_and_undrain_ends_it(store: DrainFile) -> None:
    bench = started(store)
    order(bench, wait_s=0.0)
    for _ in range(4):
        bench.step(after_s=1)
    assert bench.agent.draining.state.phase is Phase.DRAINED

    again = started(store)
    assert all(config.networks == () for config in again.speaker.configured)
    answer = drain_requests.end({}, lambda: again.now)(again.agent)
    assert (answer["was"], answer["now"]) == ("drained", "none")
    again.step()
    for name in ("tor1", "tor2"):
        again.step(Sent(peer=PeerId(name), announced=(OWN, NODE)))
    config = again.speaker.configured[-1]
    assert (set(config.networks), config.going_away) == ({OWN, NODE}, False)
    assert again.agent.verdict.is_ready
    assert store.load() is None


def test_an_agent_that_dies_while_marking_begins_anew_with_the_mark(store: DrainFile) -> None:
    bench = started(store)
    order(bench, wait_s=100.0)
    bench.step()
    again = started(store)
    assert all(config.going_away for config in again.speaker.configured)
    assert set(again.speaker.configured[-1].networks) == {OWN, NODE}


def test_node_addresses_and_pod_adds_as_configured(store: DrainFile) -> None:
    config = CONFIG + "drain: {pod_adds: false, keep_node_addresses: true}\n"
    bench = started(store, config)
    order(bench, wait_s=0.0)
    for _ in range(4):
        bench.step(after_s=1)
    last = bench.speaker.configured[-1]
    assert (last.networks, last.going_away) == ((NODE,), True)
    assert not bench.published[-1].ready
    assert "drained" in bench.published[-1].reason
    bench.agent.draining.cancel()
    bench.step()
    assert bench.published[-1].ready


def test_an_order_that_cannot_be_written_down_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = started(DrainFile(tmp_path / "file" / "below"))
    told = rf"nothing was changed: cannot write {tmp_path}.*Not a directory"
    with pytest.raises(RequestError, match=told):
        drain_requests.begin({}, lambda: 0.0, lambda: 0.0)(bench.agent)
    bench.step()
    assert not bench.speaker.configured[-1].going_away


def test_a_withdrawal_waits_until_it_can_be_written_down(tmp_path: Path) -> None:
    bench = started(DrainFile(tmp_path / "state"))
    order(bench, wait_s=0.0)
    bench.step(after_s=1)
    (tmp_path / "state" / "drain.json").unlink()
    (tmp_path / "state").rmdir()
    (tmp_path / "state").write_text("")
    bench.step(after_s=1)
    bench.step(after_s=1)
    assert bench.speaker.configured[-1].networks, "still announced"
    assert "drain" in bench.agent.problems


def test_a_damaged_file_keeps_the_node_drained_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "drain.json").write_text("rubbish")
    bench = started(DrainFile(tmp_path))
    assert bench.speaker.configured[-1].networks == ()
    assert "drain.json" in view.status(bench.agent, 0.0)["reasons"][1]
    drain_requests.end({}, lambda: bench.now)(bench.agent)
    bench.step()
    assert OWN in bench.speaker.configured[-1].networks
    assert not (tmp_path / "drain.json").exists()


@pytest.mark.parametrize(
    "body",
    [
        {"prepend": -1},
        {"prepend": True},
        {"wait_s": "1"},
        {"wait_s": 1e9},
        {"dry": 1},
        {"dry_run": 1},
    ],
)
def test_wrong_requests_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        drain_requests.begin(body, lambda: 0.0, lambda: 0.0)


def test_dry_run_does_nothing(store: DrainFile) -> None:
    bench = started(store)
    answer = drain_requests.begin({"dry_run": True}, lambda: 0.0, lambda: 0.0)(bench.agent)
    assert "withdraw 10.244.1.0/24, 10.255.1.1/32 from tor1, tor2" in answer["plan"]
    bench.step()
    assert not bench.speaker.configured[-1].going_away
    assert store.load() is None
