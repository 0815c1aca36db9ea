"""Fabric `ibgp-reflectors`: one AS, two GoBGP route reflectors that are no routers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from containerlab.netlab.node import Node
from containerlab.netlab.service import GOBGP
from tests.support.fabric_checks import RunningFabric, ask_agent, bring_up
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("gobgpd", "ping", "pidof")]


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("ibgp-reflectors") as lab:
        made = RunningFabric(lab, routers=[], legs=1)
        made.start()
        yield made


def reflectors(fabric: RunningFabric) -> tuple[Node, Node]:
    return fabric.lab.nodes["rr1"], fabric.lab.nodes["rr2"]


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept(fabric: RunningFabric) -> None:
    fabric.check_sources()


def test_the_next_hop_is_the_node_itself(fabric: RunningFabric) -> None:
    """Both reflectors tell the same next hop, which is used once and directly."""
    for host in fabric.hosts:
        told = {
            route["prefix"]: {path["next_hop"] for path in route["paths"]}
            for route in ask_agent(host, "routes")["routes"]
        }
        for other in fabric.hosts:
            if other is not host:
                for network in other.pod_cidrs:
                    assert told[str(network)] == {other.address(network.version)}


def test_the_reflectors_have_no_route(fabric: RunningFabric) -> None:
    for reflector in reflectors(fabric):
        for family in ("-4", "-6"):
            shown = json.loads(reflector.run(["ip", family, "-j", "route"]).stdout or "[]")
            assert {route["protocol"] for route in shown} == {"kernel"}


def test_reflectors_that_die_cost_no_packet(fabric: RunningFabric) -> None:
    """First one, then both: packets do not pass them, and graceful restart keeps the routes."""
    one, two = fabric.host("node1").pods[0], fabric.host("node2").pods[0]
    for reflector in reflectors(fabric):
        assert fabric.lost_while(one, two, lambda node=reflector: kill(node), s=2) == 0  # type: ignore[misc]
        fabric.check_first_packets()

    def restart() -> None:
        for reflector in reflectors(fabric):
            for command in GOBGP.start:
                reflector.run(command, timeout_s=20)
        fabric.wait_whole()

    assert fabric.lost_while(one, two, restart, s=2) == 0
    fabric.check_first_packets()


def known(reflector: Node, family: str) -> set[str]:
    """Return the prefixes in a reflector's table."""
    shown = reflector.run(["gobgp", "-j", "global", "rib", "-a", family]).stdout
    return set(json.loads(shown))


def kill(node: Node) -> None:
    pid = node.run(["pidof", "gobgpd"]).stdout.strip()
    node.run(["kill", "-KILL", pid])
    wait_until(
        lambda: node.run(["pidof", "gobgpd"], check=False).returncode == 1,
        deadline_s=5,
        what=f"{node.name}: gobgpd is dead",
    )


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    """From the reflectors' tables, too; the packets it loses are the control for those above."""
    fabric.check_withdrawal("node2", seen_by="node1")
    leaving = fabric.host("node3")
    leaving.podroute("stop", "--withdraw")
    leaving.agent.wait_ended("stop --withdraw")
    for reflector in reflectors(fabric):
        for family, left in (
            ("ipv4", {"10.244.1.0/24", "10.244.2.0/24"}),
            ("ipv6", {"fd00:244:1::/64", "fd00:244:2::/64"}),
        ):
            wait_until(
                lambda r=reflector, f=family, w=left: known(r, f) == w,  # type: ignore[misc]
                deadline_s=5,
                what=f"{reflector.name} knows {left} and no more",
            )
