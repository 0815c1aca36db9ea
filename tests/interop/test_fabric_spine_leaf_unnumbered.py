"""Fabric `spine-leaf-unnumbered`: no address on any link; FRR, and BIRD with one for all ports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from containerlab.demo.fabric import usable_legs
from containerlab.netlab.node import Node
from tests.support.fabric_checks import (
    RunningFabric,
    ask_agent,
    bring_up,
    ways_between_racks,
)
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.needs("ping")]
ROUTERS = ["spine1", "spine2", "tor1a", "tor1b", "tor2a", "tor2b"]
CARRIER_LOSS_MS = 1000
FAR = {"node11": "node22", "node21": "node12"}


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    with bring_up("spine-leaf-unnumbered") as lab:
        made = RunningFabric(lab, routers=ROUTERS, legs=2, ways=ways_between_racks)
        made.start()
        yield made


def peers(fabric: RunningFabric, node: str) -> dict[str, dict[str, Any]]:
    return {peer["name"]: peer for peer in ask_agent(fabric.host(node), "peers")["peers"]}


def wait_peer(
    fabric: RunningFabric, node: str, name: str, check: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        peer = peers(fabric, node)[name]
        return peer if check(peer) else None

    return wait_until(look, deadline_s=40, what=f"{node}: {name} as expected")


def gateways(node: Node, text: str) -> set[str]:
    """Return `gateway%interface` of each leg of the route to exactly this prefix."""
    family = f"-{ip_network(text).version}"
    argv = ["ip", family, "-j", "route", "show", "exact", text]
    routes = json.loads(node.run(argv).stdout or "[]")
    hops = [hop for route in routes for hop in route.get("nexthops", [route])]
    return {f"{h.get('via', {}).get('host') or h.get('gateway')}%{h['dev']}" for h in hops}


def link_local(node: Node, interface: str) -> str:
    argv = ["ip", "-j", "-6", "address", "show", "dev", interface, "scope", "link"]
    (address,) = [a["local"] for a in json.loads(node.run(argv).stdout)[0]["addr_info"]]
    return str(address)


def test_no_first_packet_is_lost(fabric: RunningFabric) -> None:
    fabric.check_first_packets()
    fabric.check_that_pings_can_fail()


def test_sources_are_kept(fabric: RunningFabric) -> None:
    fabric.check_sources()


def test_no_link_has_an_address_of_its_own(fabric: RunningFabric) -> None:
    for node in (*fabric.routers, *(host.node for host in fabric.hosts)):
        for interface in node.interfaces:
            shown = json.loads(node.run(["ip", "-j", "address", "show", "dev", interface]).stdout)
            scopes = {address["scope"] for address in shown[0]["addr_info"]}
            assert scopes == {"link"}, (node.name, interface)


def test_two_tors_with_one_address_are_two_legs_of_either_family(fabric: RunningFabric) -> None:
    node = fabric.host("node21").node
    for prefix in ("10.244.11.0/24", "fd00:244:11::/64"):
        assert gateways(node, prefix) == {"fe80::1%eth1", "fe80::1%eth2"}


def test_a_tors_advertisement_makes_no_default_route(fabric: RunningFabric) -> None:
    for host in fabric.hosts:
        assert host.node.run(["ip", "-6", "route", "show", "default"]).stdout == ""
        for interface in host.node.interfaces:
            key = f"/proc/sys/net/ipv6/conf/{interface}/accept_ra"
            assert host.node.run(["cat", key]).stdout.strip() == "0"


@pytest.mark.parametrize(("tor", "near"), [("tor1a", "node11"), ("tor2a", "node21")])
def test_a_cut_link_is_survived_and_comes_back(fabric: RunningFabric, tor: str, near: str) -> None:
    """Carrier, nexthop object, group and session: all of it goes and comes."""
    link = fabric.lab.nodes[tor].interface("eth1")
    source, target = fabric.host(FAR[near]).pods[0], fabric.host(near).pods[0]
    node, prefix = fabric.host(near).node, str(fabric.host(FAR[near]).pod_cidrs[0])
    gap_ms = fabric.worst_gap_ms(source, target, link.down, s=2, over=[link])
    assert {leg.partition("%")[2] for leg in gateways(node, prefix)} == {"eth2"}
    fabric.check_first_packets()
    waiting = wait_peer(fabric, near, tor, lambda peer: peer["state"] == "waiting")
    assert waiting["reason"] == "the link has no carrier"
    before = peers(fabric, near)

    lost = fabric.lost_while(source, target, lambda: _return(fabric, link.up), s=1)
    fabric.check_first_packets()
    after = peers(fabric, near)
    assert (lost, gap_ms < CARRIER_LOSS_MS) == (0, True), gap_ms
    assert after[tor]["times_down"] == before[tor]["times_down"]
    other = next(name for name in after if name != tor)
    assert after[other]["since"] == before[other]["since"]


def _return(fabric: RunningFabric, up: Callable[[], None]) -> None:
    up()
    fabric.wait_whole()


@pytest.mark.parametrize(("tor", "near"), [("tor1b", "node11"), ("tor2b", "node21")])
def test_another_address_of_a_tor_is_followed(fabric: RunningFabric, tor: str, near: str) -> None:
    """While the link stays up: a replaced card, or somebody's hand."""
    node, switch = fabric.host(near).node, fabric.lab.nodes[tor]
    old = link_local(switch, "eth1")
    before = peers(fabric, near)
    switch.run(["ip", "address", "add", "fe80::99/64", "dev", "eth1"])
    switch.run(["ip", "address", "del", f"{old}/64", "dev", "eth1"])
    wait_peer(fabric, near, tor, lambda peer: peer["address"] == "fe80::99%eth2")
    fabric.wait_whole()
    for cidr in fabric.host(FAR[near]).pod_cidrs:
        assert "fe80::99%eth2" in gateways(node, str(cidr))
    fabric.check_first_packets()
    other = next(name for name in before if name != tor)
    assert peers(fabric, near)[other]["since"] == before[other]["since"]


def test_another_card_of_the_node_is_told_to_the_tor(fabric: RunningFabric) -> None:
    """FRR makes the MAC of an IPv4 next hop out of the link-local address: both change together."""
    node, tor = fabric.host("node12").node, fabric.lab.nodes["tor1a"]
    link = ["ip", "link", "set", "dev", "eth1"]
    node.run([*link, "down"])
    node.run([*link, "address", "02:00:00:00:00:12"])
    node.run([*link, "up"])
    cidr = str(fabric.host("node12").pod_cidrs[1])
    wait_until(
        lambda: gateways(tor, cidr) == {"fe80::ff:fe00:12%eth2"},
        deadline_s=20,
        what=f"{cidr} on tor1a by the new address",
    )
    fabric.wait_whole()
    fabric.check_first_packets()


def test_a_restarted_frr_finds_its_peers_again(fabric: RunningFabric) -> None:
    tor = fabric.lab.nodes["tor1a"]
    before = {name: peers(fabric, name) for name in ("node11", "node12")}
    for daemon in ("bgpd", "zebra"):
        pid = tor.run(["pidof", daemon]).stdout.strip()
        tor.run(["kill", "-KILL", pid])
    for host in ("node11", "node12"):
        wait_peer(fabric, host, "tor1a", lambda peer: peer["state"] != "established")
    fabric.check_first_packets()
    for daemon in ("zebra", "bgpd"):
        argv = [f"/usr/lib/frr/{daemon}", "-d", "-A", "127.0.0.1", "-f", "/etc/frr/frr.conf"]
        tor.run(argv)
    fabric.wait_whole()
    fabric.check_first_packets()
    for name in ("node11", "node12"):
        after = peers(fabric, name)
        assert after["tor1a"]["times_down"] == before[name]["tor1a"]["times_down"] + 1
        assert after["tor1b"]["since"] == before[name]["tor1b"]["since"]


def test_a_new_agent_keeps_every_route(fabric: RunningFabric) -> None:
    """Its peers are not known before it has heard them; what it found stays until then."""
    host = fabric.host("node22")
    source, target = fabric.host("node11").pods[0], host.pods[0]

    def restart() -> None:
        host.agent.kill()
        host.agent.start()
        fabric.wait_whole()

    assert fabric.lost_while(source, target, restart, s=2) == 0
    fabric.check_first_packets()


def test_a_node_that_leaves_is_gone_everywhere(fabric: RunningFabric) -> None:
    fabric.check_withdrawal("node12", seen_by="node22")


def test_spines_spread_over_both_tors(fabric: RunningFabric) -> None:
    spine = fabric.lab.nodes["spine1"]
    for network in map(ip_network, ("10.244.11.0/24", "fd00:244:22::/64")):
        wait_until(
            lambda network=network: usable_legs(spine, network) == 2,  # type: ignore[misc]
            deadline_s=20,
            what=f"spine1 to {network}: 2 ways",
        )
