"""Fabric `flat-l2-mesh`: one segment, one AS, an FRR router as default gateway, no ToR."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fabric_checks import RunningFabric, ask_agent, bring_up
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("ping", "pidof")]
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


def test_packets_between_nodes_do_not_pass_the_gateway(fabric: RunningFabric) -> None:
    for host in fabric.hosts:
        for route in ask_agent(host, "routes")["routes"]:
            for path in route["paths"]:
                assert path["next_hop"] not in ("10.3.0.1", "fd00:3::1"), (host.name, route)
                assert path["as_path"] == []


def test_the_gateways_bgp_dies_without_losing_a_packet(fabric: RunningFabric) -> None:
    """The control is below: a node that withdraws loses packets."""
    gateway = fabric.lab.nodes["gateway"]
    one, two = fabric.host("node1").pods[0], fabric.host("node2").pods[0]

    def kill() -> None:
        pid = gateway.run(["pidof", "bgpd"]).stdout.strip()
        gateway.run(["kill", "-KILL", pid])
        wait_until(
            lambda: gateway.run(["pidof", "bgpd"], check=False).returncode == 1,
            deadline_s=5,
            what="bgpd is dead",
        )

    def restart() -> None:
        gateway.run(["/usr/lib/frr/bgpd", "-d", "-A", "127.0.0.1", "-F", "datacenter"])
        gateway.run(["vtysh", "-b"], timeout_s=30)
        fabric.wait_whole()

    assert fabric.lost_while(one, two, kill, s=2) == 0
    fabric.check_first_packets()
    assert fabric.lost_while(one, two, restart, s=2) == 0


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node2", seen_by="node1")
