"""Learned routes without nexthop objects on dual-tor: a cut link costs no more than with them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from containerlab.demo.fabric import usable_legs
from containerlab.demo.tor import Network
from containerlab.netlab.node import Node
from tests.support.fabric_checks import RunningFabric, ask_agent, bring_up
from tests.support.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.needs("ping")]
CONFIG = "/run/podroute-plain.yaml"
GAP_MS = 1000
LINKDOWN = "net.{}.conf.eth1.ignore_routes_with_linkdown"


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("dual-tor") as lab:
        made = RunningFabric(lab, routers=["tor1", "tor2"], legs=2)
        for host in made.hosts:
            text = yaml.safe_dump({**host.config, "fib": {"nexthops": "plain"}})
            host.node.run(["sh", "-c", f"cat > {CONFIG}"], input=text)
            host.agent.arguments = ("router", "--config", CONFIG)
        made.start()
        yield made


def test_every_route_carries_its_next_hops_and_the_agent_says_so(fabric: RunningFabric) -> None:
    host = fabric.host("node1")
    assert host.node.run(["ip", "nexthop"]).stdout == ""
    for family in ("-4", "-6"):
        shown = host.node.run(["ip", "-j", family, "route", "show", "proto", "74"]).stdout
        routes = {route["dst"]: route for route in json.loads(shown)}
        to_pods = [route for dst, route in routes.items() if ":244:" in dst or "10.244." in dst]
        assert [len(route["nexthops"]) for route in to_pods] == [2, 2]
    assert ask_agent(host, "status")["routes"]["form"] == "plain"
    for family in ("ipv4", "ipv6"):
        assert host.node.run(["sysctl", "-n", LINKDOWN.format(family)]).stdout.strip() == "1"
    fabric.check_first_packets()


def test_after_a_cut_nothing_is_lost(fabric: RunningFabric) -> None:
    source, target = fabric.host("node1"), fabric.host("node2")
    link = fabric.lab.nodes["tor1"].interface("eth1")
    used = [source.node.interface("eth1")]
    gap_ms = fabric.worst_gap_ms(source.pods[0], target.pods[0], link.down, s=1, over=used)
    for network in target.pod_cidrs:
        wait_until(
            lambda n=network: len(legs(source.node, n)) == 1,  # type: ignore[misc]
            deadline_s=10,
            what=f"{source.name}'s route to {network} has one leg",
        )
        assert legs(source.node, network) == ["eth2"]
    assert fabric.lost_while(source.pods[0], target.pods[0], lambda: None, s=1) == 0
    link.up()
    fabric.wait_whole()
    assert gap_ms < GAP_MS


def test_with_nobody_there_to_take_the_leg_out_packets_are_lost(fabric: RunningFabric) -> None:
    """The control: the agent stands still, and the kernel is told to keep a leg without carrier."""
    source, target = fabric.host("node1"), fabric.host("node2")
    link = fabric.lab.nodes["tor1"].interface("eth1")
    with standing_still(source.agent.pid):
        for family in ("ipv4", "ipv6"):
            source.node.run(["sysctl", "-qw", LINKDOWN.format(family) + "=0"])
        lost = fabric.lost_while(source.pods[0], target.pods[0], link.down, s=1)
        assert [usable_legs(source.node, network) for network in target.pod_cidrs] == [1, 1]
        assert [len(legs(source.node, network)) for network in target.pod_cidrs] == [2, 2]
    link.up()
    fabric.wait_whole()
    assert lost > 0
    fabric.check_first_packets()


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a process, for less than its peers' hold time."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def legs(node: Node, network: Network) -> list[str]:
    """Return the devices of a node's route to a network, dead ones among them."""
    words = ["ip", f"-{network.version}", "-j", "route", "show", "exact", str(network)]
    shown = json.loads(node.run(words).stdout or "[]")
    return [hop["dev"] for route in shown for hop in route.get("nexthops", [route])]
