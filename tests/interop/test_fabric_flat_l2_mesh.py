"""Fabric `flat-l2-mesh`: nodes of one segment peer with each other; an FRR default gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.fabric_checks import RunningFabric, ask_agent, bring_up

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("ping")]
CLIENT = {4: "198.51.100.10", 6: "2001:db8:51::10"}


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("flat-l2-mesh") as lab:
        made = RunningFabric(lab, routers=["gateway"], legs=1)
        made.start()
        yield made


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept_from_pods_nodes_and_outside(fabric: RunningFabric) -> None:
    fabric.check_sources(outside={fabric.lab.nodes["client"]: CLIENT})


def test_each_node_hears_of_pods_from_the_node_that_has_them(fabric: RunningFabric) -> None:
    """From nobody else: the gateway passes nothing on."""
    for host in fabric.hosts:
        paths = {
            route["prefix"]: [(path["peer"], path["next_hop"]) for path in route["paths"]]
            for route in ask_agent(host, "routes")["routes"]
        }
        assert paths == {
            str(network): [
                (f"{other.name}-v{network.version}", other.address(network.version)),
            ]
            for other in fabric.hosts
            if other is not host
            for network in other.pod_cidrs
        }


@pytest.mark.parametrize("name", ["node1", "node3"])
def test_a_killed_agent_and_speaker_cost_no_packet(fabric: RunningFabric, name: str) -> None:
    """node1 listens for both others, node3 dials both; the control is the withdrawal below."""
    host = fabric.host(name)
    source = fabric.host("node2").pods[0]

    def replace() -> None:
        host.agent.kill(*host.agent.speaker_pids())
        host.agent.start()
        fabric.wait_whole()

    assert fabric.lost_while(source, host.pods[0], replace, s=1) == 0
    fabric.check_first_packets()


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node2", seen_by="node1")


def test_a_gateway_without_power_costs_no_packet_between_nodes(fabric: RunningFabric) -> None:
    """The last of this file: nothing is announced to the gateway any more, and nobody misses it."""
    one, two = fabric.host("node1").pods[0], fabric.host("node2").pods[0]
    gateway = fabric.lab.nodes["gateway"]

    def end() -> None:
        gateway.stop()
        time.sleep(10)  # longer than the hold time

    assert fabric.lost_while(one, two, end, s=1) == 0
    states = {peer["name"]: peer["state"] for peer in ask_agent(fabric.hosts[0], "peers")["peers"]}
    assert states.pop("gateway-10.3.0.1") != "established"
    assert states.pop("gateway-fd00:3::1") != "established"
    assert set(states.values()) == {"established"}
    fabric.check_first_packets()
