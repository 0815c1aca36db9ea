"""Fabric `spine-leaf`: two spines, two racks of two ToRs (FRR and BIRD), four nodes."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from containerlab.demo.fabric import usable_legs
from tests.support.fabric_checks import (
    RunningFabric,
    ask_agent,
    bring_up,
    ways_between_racks,
)
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("ping")]
ROUTERS = ["spine1", "spine2", "tor1a", "tor1b", "tor2a", "tor2b"]
# A link or router that dies with its carrier; the research measured 130 to 140 ms for a Clos.
CARRIER_LOSS_MS = 1000


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("spine-leaf") as lab:
        made = RunningFabric(lab, routers=ROUTERS, legs=2, ways=ways_between_racks)
        made.start()
        yield made


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept(fabric: RunningFabric) -> None:
    outside = {
        fabric.lab.nodes[name]: {4: f"10.255.0.{number}", 6: f"fd00:255::{number}"}
        for name, number in (("spine1", 1), ("tor1b", 12), ("tor2a", 21))
    }
    fabric.check_sources(outside=outside)


def test_each_router_spreads_over_all_shortest_ways(fabric: RunningFabric) -> None:
    """Spines over both ToRs of a rack, ToRs over both spines: 2 x 2 ways between racks."""
    for text in ("10.244.11.0/24", "10.244.22.0/24", "fd00:244:11::/64", "fd00:244:22::/64"):
        network = ip_network(text)
        rack = "tor1" if "11" in text else "tor2"
        for router in fabric.routers:
            legs = 1 if router.name.startswith(rack) else 2
            wait_until(
                lambda r=router, n=network, w=legs: usable_legs(r, n) == w,  # type: ignore[misc]
                deadline_s=10,
                what=f"{router.name} to {text}: {legs} ways",
            )


def test_as_paths_are_those_of_rfc_7938(fabric: RunningFabric) -> None:
    """Nodes give no transit and a spine's AS stands in no path twice."""
    for host in fabric.hosts:
        for prefix in ask_agent(host, "routes")["routes"]:
            for path in prefix["paths"]:
                asns = path["as_path"]
                assert asns.count(65000) <= 1
                assert not [asn for asn in asns[:-1] if asn >= 4200000000], (host.name, prefix)


@pytest.mark.parametrize(
    ("tor", "near", "far"), [("tor1a", "node11", "node22"), ("tor2a", "node21", "node12")]
)
def test_the_loss_of_a_nodes_link_is_survived(
    fabric: RunningFabric, tor: str, near: str, far: str
) -> None:
    """The ToR that lost the link has the other way from the spines: both kinds of rack."""
    link = fabric.lab.nodes[tor].interface("eth1")
    source, target = fabric.host(far).pods[0], fabric.host(near).pods[0]
    gap_ms = fabric.worst_gap_ms(source, target, link.down, s=2, over=[link])
    assert usable_legs(link.node, fabric.host(near).pod_cidrs[0]) == 2
    fabric.check_first_packets()
    link.up()
    fabric.wait_whole()
    assert gap_ms < CARRIER_LOSS_MS


def test_the_loss_of_a_spine_is_survived(fabric: RunningFabric) -> None:
    spine = fabric.lab.nodes["spine1"]
    links = list(spine.interfaces.values())
    source, target = fabric.host("node11").pods[0], fabric.host("node21").pods[0]

    def cut() -> None:
        for link in links:
            link.down()

    gap_ms = fabric.worst_gap_ms(source, target, cut, s=2, over=links)
    fabric.check_first_packets()
    for link in links:
        link.up()
    fabric.wait_whole()
    assert gap_ms < CARRIER_LOSS_MS


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node12", seen_by="node22")


@pytest.mark.parametrize("tor", ["tor1a", "tor2b"])
def test_a_tor_without_power_is_survived(fabric: RunningFabric, tor: str) -> None:
    """The last of this file: it ends one ToR of each rack for good."""
    source, target = fabric.host("node12").pods[0], fabric.host("node22").pods[0]
    node = fabric.lab.nodes[tor]
    gap_ms = fabric.worst_gap_ms(
        source, target, node.stop, s=2, over=list(node.interfaces.values())
    )
    fabric.check_first_packets()
    assert gap_ms < CARRIER_LOSS_MS
