"""Rows 1, 2, 3: agent and speaker of a node die under traffic; graceful restart carries it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from containerlab.demo.fabric import wait_for
from containerlab.demo.tor import RouteWatch
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import START, Scene
from containerlab.measure.check import at_most, exactly

BACK_S = 10.0
AWAY_S = 0.5
"""What an init system takes to notice and start again."""


def _kill_agent(scene: Scene) -> None:
    """Kill -9 the agent; its speaker ends with it."""
    host = scene.fabric.hosts[0]
    killed = time.time()
    host.agent.kill()
    time.sleep(AWAY_S)
    host.agent.start(*START)
    scene.fabric.wait_fresh(host, since_epoch=killed)


def _kill_speaker(scene: Scene) -> None:
    """Kill -9 ExaBGP; the agent starts another."""
    host = scene.fabric.hosts[0]
    killed = time.time()
    for pid in host.agent.speaker_pids():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    scene.fabric.wait_fresh(host, since_epoch=killed)


def _kill_both(scene: Scene) -> float:
    """Kill both and start them again; return the wall clock's time of their death."""
    host = scene.fabric.hosts[0]
    killed = time.time()
    host.agent.kill(*host.agent.speaker_pids())
    time.sleep(AWAY_S)
    host.agent.start(*START)
    return killed


def _kill_twice(scene: Scene) -> None:
    """Kill both, and both again as soon as the ToRs have everything from the first restart."""
    for _ in range(2):
        killed = _kill_both(scene)
        scene.fabric.wait_fresh(scene.fabric.hosts[0], since_epoch=killed)


def _kill_early(scene: Scene) -> Outcome:
    """Kill both, and both again as soon as a ToR has a session: before all is announced."""
    scene.graceful(on=True)
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    ours = {str(address + 1) for address in host.session_addresses}

    def breaking() -> None:
        _kill_both(scene)
        wait_for(
            lambda: "" if ours & tor.established() else "none",
            deadline_s=20,
            what="a session between the two restarts",
        )
        killed = _kill_both(scene)
        scene.fabric.wait_fresh(host, since_epoch=killed)

    outcome, _ = scene.under_traffic(breaking)
    note = "a ToR must delete what is still stale when a session ends again (RFC 4724 §4.2)"
    return replace(outcome, note=note)


def _tried(breaking: Callable[[Scene], None], *, graceful: bool) -> Callable[[Scene], Outcome]:
    def run(scene: Scene) -> Outcome:
        scene.graceful(on=graceful)
        host = scene.fabric.hosts[0]
        with ExitStack() as stack:
            watches = [stack.enter_context(RouteWatch(tor)) for tor in scene.fabric.tors]
            outcome, _ = scene.under_traffic(lambda: breaking(scene), may_not_send=not graceful)
            gone = [
                f"{watch.tor.node.name} dropped {network}"
                for watch in watches
                for network in host.pod_cidrs
                if watch.removed(network) is not None
            ]
        if not graceful:
            return outcome
        # A route that goes and comes is what End-of-RIB before the routes would look like.
        return replace(outcome, faults=(*outcome.faults, *gone))

    return run


def _scenario(row: str, name: str, broken: str, breaking: Callable[[Scene], None]) -> Scenario:
    return Scenario(
        row=row,
        name=name,
        broken=broken,
        rule="no packet lost; the ToRs' routes stay, then are fresh",
        timed="until the ToRs have fresh routes",
        run=_tried(breaking, graceful=True),
        lost=exactly(0),
        control=_tried(breaking, graceful=False),
        controlled="without graceful restart",
    )


SCENARIOS = (
    _scenario("1", "kill_agent", "kill -9 of the route agent", _kill_agent),
    _scenario("2", "kill_speaker", "kill -9 of ExaBGP", _kill_speaker),
    _scenario("3", "restart_twice", "kill -9 of both, twice in the restart time", _kill_twice),
    Scenario(
        row="3b",
        name="restart_early",
        broken="the same, the second time as soon as a ToR has a session, before all is announced",
        rule="the ToRs have fresh routes within 10 s",
        timed="until the ToRs have fresh routes",
        run=_kill_early,
        seconds=at_most(BACK_S),
    ),
)
