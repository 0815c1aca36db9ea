"""Fabric `routed-host`: node addresses on lo, no route at the start; an FRR and a BIRD ToR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from containerlab.demo.fabric import Host
from containerlab.measure.sources import Question, ask, servers
from containerlab.netlab.node import Node
from tests.support.fabric_checks import FAMILIES, RunningFabric, bring_up
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("ping")]
OUTSIDE = {4: "198.51.100.10", 6: "2001:db8:51::10"}
LEARNED_DEFAULT_METRIC = 4000000
CARRIER_LOSS_MS = 1000


def default_routes(node: Node, family: int) -> list[dict[str, Any]]:
    shown = node.run(["ip", f"-{family}", "-j", "route", "show", "default"]).stdout
    return list(json.loads(shown or "[]"))


def ways_out(host: Host, family: int) -> set[str]:
    """Return the links of a node's learned default route; the source must be its own address."""
    routes = default_routes(host.node, family)
    for route in routes:
        assert (route["metric"], route["prefsrc"]) == (
            LEARNED_DEFAULT_METRIC,
            host.address(family),
        )
    return {hop["dev"] for route in routes for hop in route.get("nexthops", [route])}


def wait_ways_out(fabric: RunningFabric, *links: str) -> None:
    for host in fabric.hosts:
        for family in FAMILIES:
            wait_until(
                lambda h=host, f=family: ways_out(h, f) == set(links),  # type: ignore[misc]
                deadline_s=15,
                what=f"{host.name}: default route over {links}, IPv{family}",
            )


@pytest.fixture(scope="module")
def agents_alone() -> Iterator[RunningFabric]:
    with bring_up("routed-host") as lab:
        made = RunningFabric(lab, routers=["tor1", "tor2", "core"], legs=2)
        for host in made.hosts:
            for family in FAMILIES:
                assert default_routes(host.node, family) == [], "a node starts without a default"
        made.start_agents()
        yield made


@pytest.fixture(scope="module")
def fabric(agents_alone: RunningFabric) -> RunningFabric:
    agents_alone.start_pods()
    return agents_alone


def test_the_agent_alone_gives_the_node_its_way_out(agents_alone: RunningFabric) -> None:
    """Before any CNI server: what kubelet needs to reach the API server."""
    fabric = agents_alone
    wait_ways_out(fabric, "eth1", "eth2")
    core = fabric.lab.nodes["core"]
    places = [core, *(host.node for host in fabric.hosts)]
    questions = [
        Question(
            name=f"{host.name} to {to}, IPv{family}",
            asker=host.node,
            address=to,
            expected=host.address(family),
        )
        for family in FAMILIES
        for host in fabric.hosts
        for to in (OUTSIDE[family], *(o.address(family) for o in fabric.hosts if o is not host))
    ]
    with servers(places):
        answers = ask(questions)
    assert not [answer.to_sample() for answer in answers if not answer.kept]


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept_from_pods_nodes_and_outside(fabric: RunningFabric) -> None:
    fabric.check_sources(outside={fabric.lab.nodes["core"]: OUTSIDE})


def test_a_tor_that_lost_its_uplink_is_no_way_out_any_more(fabric: RunningFabric) -> None:
    """It still is a way to the other nodes."""
    for tor, left in (("tor1", "eth2"), ("tor2", "eth1")):
        uplink = fabric.lab.nodes[tor].interface("eth10")
        uplink.down()
        wait_ways_out(fabric, left)
        fabric.wait_whole()
        fabric.check_first_packets()
        uplink.up()
        wait_ways_out(fabric, "eth1", "eth2")


def test_the_nodes_address_survives_either_uplink(fabric: RunningFabric) -> None:
    one, two = fabric.host("node1"), fabric.host("node2")
    for tor in ("tor1", "tor2"):
        link = fabric.lab.nodes[tor].interface("eth2")
        gap_ms = fabric.worst_gap_ms(one.pods[0], two.pods[0], link.down, s=2, over=[link])
        fabric.check_first_packets()
        fabric.check_sources()
        link.up()
        fabric.wait_whole()
        assert gap_ms < CARRIER_LOSS_MS, tor


def test_a_foreign_default_route_goes_first(fabric: RunningFabric) -> None:
    """What a DHCP client or an administrator adds is left alone and wins by its metric."""
    node = fabric.host("node3").node
    node.run(["ip", "route", "add", "default", "via", "10.0.1.6", "metric", "100"])
    told = json.loads(node.run(["ip", "-j", "route", "get", OUTSIDE[4]]).stdout)
    assert told[0]["gateway"] == "10.0.1.6"
    assert len(default_routes(node, 4)) == 2
    node.run(["ip", "route", "del", "default", "metric", "100"])
    assert len(default_routes(node, 4)) == 1


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node3", seen_by="node1")
    wait_ways_out(fabric, "eth1", "eth2")
