"""The agent with BFD: what it watches, whom it stops trusting, and what brings trust back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from bgp.bfd.report import DaemonReport, SessionReport
from bgp.bfd.session import Spec, Verdict
from bgp.bfd.state import State
from router.agent import view
from router.agent.liveness import Liveness
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, establishing, update

POD = "10.244.2.0/24"
BOTH = {"10.0.1.2", "10.0.2.2"}
WATCHED = CONFIG.replace("remote_asn: 65101", "remote_asn: 65101, bfd: {interval_ms: 100}")
REQUIRED = CONFIG.replace("remote_asn: 65101", "remote_asn: 65101, bfd: {required: true}")


class ScriptedBfd:
    """Says what the test wants."""

    def __init__(self) -> None:
        self.wanted: list[tuple[Spec, ...]] = []
        self.report: DaemonReport | None = None
        self.problem = ""

    def want(self, specs: Iterable[Spec]) -> None:
        self.wanted.append(tuple(specs))

    def say(self, state: State, verdict: Verdict, *, lost_at: float | None = None) -> None:
        session = SessionReport(
            name="tor1",
            peer="10.0.1.2",
            state=state,
            verdict=verdict,
            reason="control detection time expired" if verdict is Verdict.LOST else "",
            changed_at=0.0,
            lost_at=lost_at,
            ups=1,
            downs=0,
            interval_ms=100,
            detection_ms=300,
            remote_state=state,
        )
        self.report = DaemonReport(
            pid=9, priority="nice -20", memory="locked", sessions={"tor1": session}
        )


class WatchedBench(Bench):
    def __init__(self, config: str = WATCHED) -> None:
        super().__init__(config=config)
        self.bfd = ScriptedBfd()
        self.agent.liveness = Liveness(self.bfd)
        self.establish("tor1", "tor2")
        self.step(update("tor1", POD), update("tor2", POD), after_s=1)


@pytest.fixture
def bench() -> WatchedBench:
    made = WatchedBench()
    assert made.routes() == {POD: BOTH}
    return made


def test_peers_with_bfd_are_watched_on_their_link(bench: WatchedBench) -> None:
    assert bench.bfd.wanted == [(Spec("tor1", "10.0.1.2", "10.0.1.3", 2, 100_000, 3),)]
    bench.kernel.set_carrier("eth1", False)
    bench.step(after_s=1)
    assert len(bench.bfd.wanted) == 1
    bench.reconfigure(CONFIG)
    bench.step(after_s=1)
    assert bench.bfd.wanted[1:] == [()]


def test_a_loss_takes_the_next_hop_out_and_resets_the_session_once(bench: WatchedBench) -> None:
    bench.bfd.say(State.UP, Verdict.ALIVE)
    bench.step(after_s=1)
    bench.bfd.say(State.DOWN, Verdict.LOST, lost_at=bench.now)
    before = len(bench.kernel.applied)
    bench.step()
    bench.step()
    assert bench.routes() == {POD: {"10.0.2.2"}}
    assert not any(line.startswith("install") for line in bench.kernel.applied[before : before + 1])
    assert bench.speaker.resets == ["tor1"]
    peer = view.peers(bench.agent, bench.now)["peers"][0]["bfd"]
    assert (peer["state"], peer["trusted"]) == ("down", False)
    reasons = view.status(bench.agent, bench.now)["reasons"]
    assert "no path of tor1 is used: BFD: control detection time expired" in reasons


def test_updates_of_a_lost_peer_are_kept_but_not_used(bench: WatchedBench) -> None:
    bench.bfd.say(State.DOWN, Verdict.LOST, lost_at=bench.now)
    bench.step(update("tor1", "10.244.3.0/24"))
    assert bench.routes() == {POD: {"10.0.2.2"}}
    (route,) = [r for r in view.routes(bench.agent)["routes"] if r["prefix"] == "10.244.3.0/24"]
    assert "BFD" in route["why_not"]
    bench.bfd.say(State.UP, Verdict.ALIVE)
    bench.step()
    assert bench.routes() == {POD: BOTH, "10.244.3.0/24": {"10.0.1.2"}}


def test_a_session_established_after_the_loss_is_trusted(bench: WatchedBench) -> None:
    bench.bfd.say(State.DOWN, Verdict.LOST, lost_at=bench.now)
    bench.step(down("tor1"), after_s=1)
    bench.step(*establishing("tor1"), update("tor1", POD), after_s=1)
    assert bench.routes() == {POD: BOTH}
    assert bench.speaker.resets == []


def test_a_path_that_is_back_makes_the_speaker_dial_at_once(bench: WatchedBench) -> None:
    bench.bfd.say(State.DOWN, Verdict.LOST, lost_at=bench.now)
    bench.step()
    bench.step(down("tor1"), after_s=1)
    bench.bfd.say(State.UP, Verdict.ALIVE)
    bench.step(after_s=30)
    assert bench.speaker.resets == ["tor1", "tor1"]


@pytest.mark.parametrize("verdict", [Verdict.UNKNOWN, Verdict.ALIVE])
def test_only_a_loss_takes_paths(bench: WatchedBench, verdict: Verdict) -> None:
    bench.bfd.say(State.DOWN, verdict)
    bench.step()
    assert bench.routes() == {POD: BOTH}


def test_without_a_daemon_paths_are_used_and_status_says_so(bench: WatchedBench) -> None:
    bench.bfd.problem = "no answer"
    bench.step()
    assert bench.routes() == {POD: BOTH}
    assert any("no answer" in r for r in view.status(bench.agent, bench.now)["reasons"])


def test_where_bfd_is_required_nothing_is_used_before_it_is_up() -> None:
    bench = WatchedBench(REQUIRED)
    assert bench.routes() == {POD: {"10.0.2.2"}}
    bench.bfd.say(State.UP, Verdict.ALIVE)
    bench.step()
    assert bench.routes() == {POD: BOTH}
    bench.bfd.say(State.DOWN, Verdict.UNKNOWN)
    bench.step()
    assert bench.routes() == {POD: {"10.0.2.2"}}


def test_what_bfd_says_of_another_address_counts_for_nothing(bench: WatchedBench) -> None:
    bench.reconfigure(WATCHED.replace("10.0.1.2", "10.0.1.9"))
    bench.bfd.say(State.DOWN, Verdict.LOST, lost_at=bench.now)
    bench.step()
    assert bench.agent.liveness.distrusted == frozenset()
    assert any("10.0.1.9 is on no" in r for r in view.status(bench.agent, bench.now)["reasons"])
