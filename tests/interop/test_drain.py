"""Drain against real routers: packets are counted, and the same end without a drain loses some."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

import pytest

from containerlab.measure.flows import Group, GroupResult, Traffic
from tests.support.drain_racks import (
    HOLD_S,
    SERVER,
    MakeNamespace,
    Rack,
    TwoNodes,
    TwoTors,
)
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]
R = TypeVar("R", bound=Rack)


class Started(Protocol):
    """Starts a rack, and ends it with the test."""

    def __call__(self, rack: R) -> R: ...


@pytest.fixture
def started() -> Iterator[Started]:
    with ExitStack() as stack:

        def start(rack: R) -> R:
            stack.callback(rack.close)
            rack.start()
            return rack

        yield start


@contextmanager
def counted(source: Namespace, target: Namespace, results: list[GroupResult]) -> Iterator[None]:
    group = Group(name="flows", source=source, target=target, address=SERVER, flows=10, rate=500)
    with Traffic([group]) as traffic:
        traffic.go()
        time.sleep(0.5)
        yield
        results += traffic.stop()
    assert not results[0].faults()
    assert results[0].attempted >= 1000


@pytest.mark.parametrize(("kind", "how"), [("frr", ()), ("bird", ("--prepend", "2"))])
def test_a_drained_node_goes_without_a_lost_packet(
    make_namespace: MakeNamespace, started: Started, kind: str, how: tuple[str, ...]
) -> None:
    rack = started(TwoNodes(make_namespace, kind))
    used = min(rack.legs())
    index = int(used.removeprefix("node"))
    other = {"node1", "node2"} - {used}
    agent = rack.agents[index - 1]
    results: list[GroupResult] = []

    with counted(rack.client, rack.server, results):
        assert rack.carried(index) > 100, "the node that leaves carries some of the flows"
        said = agent.podroute("drain", "--wait", "1.5", *how)
        legs_after = rack.legs()
        rack.power_off(index)
        time.sleep(HOLD_S + 1)

    assert said.returncode == 0, said.stderr
    assert [line.partition(":")[0] for line in said.stdout.splitlines()][-1] == "drained"
    assert legs_after == other
    assert rack.legs(f"10.244.{index}.0/24") == set()
    assert rack.legs() == other
    print(f"{kind}: {results[0].attempted} packets, {results[0].lost} lost")
    assert results[0].lost == 0


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_the_same_end_without_a_drain_loses_packets(
    make_namespace: MakeNamespace, started: Started, kind: str
) -> None:
    rack = started(TwoNodes(make_namespace, kind))
    used = min(rack.legs())
    index = int(used.removeprefix("node"))
    results: list[GroupResult] = []

    with counted(rack.client, rack.server, results):
        assert rack.carried(index) > 100
        rack.power_off(index)
        time.sleep(HOLD_S + 1)

    wait_until(lambda: rack.legs() == {"node1", "node2"} - {used}, deadline_s=10, what="moved")
    print(f"{kind} without a drain: {results[0].attempted} packets, {results[0].lost} lost")
    assert results[0].lost >= 1


def test_a_drain_outlives_its_agent_and_ends_by_undrain(
    make_namespace: MakeNamespace, started: Started
) -> None:
    rack = started(TwoNodes(make_namespace, "frr"))
    agent = rack.agents[0]
    before = agent.ask("peers")["peers"][0]["since"]
    plan = agent.podroute("drain", "--dry-run", "--prepend", "1").stdout
    assert "GRACEFUL_SHUTDOWN (65535:0), our AS prepended 1 times" in plan
    assert rack.router.seen("10.244.1.0/24").communities == ()

    assert agent.podroute("drain", "--wait", "0").returncode == 0
    assert rack.legs("10.244.1.0/24") == set()
    assert agent.ask("peers")["peers"][0]["since"] == before, "the session notices nothing"
    assert agent.ask("peers")["drain"]["phase"] == "drained"
    agent.kill()
    agent.start()
    rack.router.wait_established("10.0.1.3", deadline_s=30)
    wait_until(lambda: agent.ask("status")["drain"]["phase"] == "drained", deadline_s=15, what="it")
    assert rack.router.received("10.0.1.3") == {}
    status = agent.podroute("status").stdout
    assert "drained: nothing is announced until `podroute undrain`" in status
    assert "not ready" in status

    assert "announced again" in agent.podroute("undrain").stdout
    wait_until(lambda: rack.legs("10.244.1.0/24") == {"node1"}, deadline_s=10, what="announced")
    assert rack.router.seen("10.244.1.0/24").communities == ()
    assert agent.podroute("undrain").stdout == "This node was not drained.\n"


@pytest.mark.parametrize("graceful", [True, False], ids=["graceful", "control"])
def test_a_tor_that_says_graceful_shutdown_is_left_without_a_lost_packet(
    make_namespace: MakeNamespace, started: Started, graceful: bool
) -> None:
    rack = started(TwoTors(make_namespace))
    results: list[GroupResult] = []

    with counted(rack.node, rack.server, results):
        if graceful:
            rack.routers[0].configure("bgp graceful-shutdown")
            wait_until(lambda: rack.legs() == {"tor2"}, deadline_s=10, what="only tor2 is used")
        rack.break_tor1()
        time.sleep(HOLD_S + 1)

    wait_until(lambda: rack.legs() == {"tor2"}, deadline_s=10, what="only tor2 is used")
    print(f"graceful {graceful}: {results[0].attempted} packets, {results[0].lost} lost")
    assert results[0].lost == 0 if graceful else results[0].lost >= 1
