"""Fabric `single-rack`: a BIRD ToR, three nodes on one segment, the default gateway as the peer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fabric_checks import RunningFabric, bring_up

pytestmark = [pytest.mark.interop, pytest.mark.needs("ping")]
CLIENT = {4: "198.51.100.10", 6: "2001:db8:51::10"}


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("single-rack") as lab:
        made = RunningFabric(lab, routers=["tor1"], legs=1)
        made.start()
        yield made


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept_from_pods_nodes_and_outside(fabric: RunningFabric) -> None:
    fabric.check_sources(outside={fabric.lab.nodes["client"]: CLIENT})


def test_packets_between_nodes_do_not_pass_the_tors_routed_interface(
    fabric: RunningFabric,
) -> None:
    node = fabric.host("node1").node
    assert " via 10.1.0.12 " in node.run(["ip", "route", "show", "10.244.2.0/24"]).stdout
    shown = node.run(["ip", "-6", "route", "show", "fd00:244:2::/64"]).stdout
    assert " via fd00:1::12 " in shown


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node3", seen_by="node1")
