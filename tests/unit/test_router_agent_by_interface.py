"""Peers by interface in the agent: found, lost with their link, found again, never mixed up."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_interface

import pytest

from bgp.ends import EXTENDED_NEXT_HOP
from bgp.event import Change, EndOfRib, Opened, SessionDown, SpeakerStarted, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from router.agent import view
from router.kernel.monitor import Noticed
from router.model.fib import Form
from router.model.link import Link, Links
from router.reconcile.sysctl import keys, plan_sysctls
from tests.support.agent import Bench, ModelKernel
from tests.support.bgp_events import establishing

CONFIG = """
node: node1
local_asn: 65201
node_addresses: [10.255.1.1]
pod_cidrs: [10.244.1.0/24]
cluster: {pod_prefixes: [10.244.0.0/16, "fd00:244::/32"]}
peers:
  - {name: tor1, interface: eth1, remote_asn: 65101, bfd: {}}
  - {name: tor2, interface: eth2, remote_asn: 65102}
"""
POD, POD6 = Prefix.parse("10.244.2.0/24"), Prefix.parse("fd00:244:2::/64")


def link(index: int, name: str, *addresses: str, **changes: bool) -> Link:
    made = Link(
        index=index,
        name=name,
        up=True,
        carrier=True,
        mtu=1500,
        addresses=tuple(ip_interface(address) for address in addresses),
    )
    return replace(made, **changes) if changes else made


@pytest.fixture
def bench() -> Bench:
    kernel = ModelKernel()
    kernel.links = Links.of(
        (
            link(1, "lo", "10.255.1.1/32"),
            link(2, "eth1", "fe80::a1/64"),
            link(3, "eth2", "fe80::a2/64"),
        )
    )
    return Bench(kernel, CONFIG)


def announce(name: str, interface: str) -> Updated:
    via = IPv6Address(f"fe80::1%{interface}")
    attributes = Attributes(next_hop=via, as_path=(65101, 65202))
    return Updated(peer=PeerId(name), changes=[Change(attributes, (POD, POD6), ())])


def find(bench: Bench) -> None:
    """Let both ToRs be heard, with the same address as some vendors have it."""
    bench.advertisements.routers = {"eth1": "fe80::1", "eth2": "fe80::1"}
    bench.rediscover()
    bench.step(SpeakerStarted(pid=7))
    for name, interface in (("tor1", "eth1"), ("tor2", "eth2")):
        bench.step(*establishing(name), announce(name, interface))


def legs(bench: Bench) -> dict[str, list[str]]:
    fib = bench.kernel.fib
    return {
        str(prefix): sorted(f"{hop.address}%{hop.ifindex}" for hop in fib.hops_of(route))
        for prefix, route in fib.routes.items()
    }


BOTH = {str(prefix): ["fe80::1%2", "fe80::1%3"] for prefix in (POD, POD6)}
SECOND = {str(prefix): ["fe80::1%3"] for prefix in (POD, POD6)}


def test_before_a_router_is_heard_its_peer_waits_and_says_why(bench: Bench) -> None:
    bench.step()
    bench.rediscover()
    assert bench.speaker.configured[-1].peers == ()
    assert bench.advertisements.ports.keys() == {"eth1", "eth2"}

    shown = view.peers(bench.agent, bench.now)["peers"]
    assert [(p["name"], p["address"], p["state"]) for p in shown] == [
        ("tor1", "%eth1", "waiting"),
        ("tor2", "%eth2", "waiting"),
    ]
    assert shown[0]["reason"] == "no router advertisement has been heard yet"
    status = view.status(bench.agent, bench.now)
    assert status["peers"] == {"configured": 2, "established": 0}
    assert "tor1 waits on eth1: no router advertisement has been heard yet" in status["reasons"]
    assert status["uplinks"] == ["eth1", "eth2"]


def test_two_tors_with_one_address_are_two_legs_for_both_families(bench: Bench) -> None:
    find(bench)
    assert legs(bench) == BOTH
    peers = bench.speaker.configured[-1].peers
    assert [str(peer.address) for peer in peers] == ["fe80::1%eth1", "fe80::1%eth2"]
    assert [str(peer.local_address) for peer in peers] == ["fe80::a1", "fe80::a2"]


def test_a_tor_that_cannot_take_ipv4_routes_is_told(bench: Bench) -> None:
    find(bench)
    told = "it does not say that it takes IPv4 routes with IPv6 next hops"
    reasons = view.status(bench.agent, bench.now)["reasons"]
    assert len([reason for reason in reasons if told in reason]) == 2
    able = [
        replace(e, capabilities=frozenset({EXTENDED_NEXT_HOP})) if isinstance(e, Opened) else e
        for e in establishing("tor1")
    ]
    bench.step(SessionDown(peer=PeerId("tor1"), reason="x"), *able)
    reasons = view.status(bench.agent, bench.now)["reasons"]
    assert [reason[:5] for reason in reasons if told in reason] == ["tor2:"]


def test_a_lost_session_takes_its_leg_only(bench: Bench) -> None:
    find(bench)
    bench.agent._lose(PeerId("tor1"))
    groups = bench.kernel.fib.groups.values()
    assert [len(members) for members in groups] == [1]
    (hop,) = [bench.kernel.fib.nexthops[members[0]] for members in groups]
    assert hop.ifindex == 3


def test_a_cut_link_takes_its_leg_and_its_return_brings_it_back(bench: Bench) -> None:
    find(bench)
    bench.kernel.set_carrier("eth1", False)
    bench.step()
    assert legs(bench) == SECOND
    bench.rediscover()
    assert [peer.name for peer in bench.speaker.configured[-1].peers] == ["tor2"]
    (waiting,) = [p for p in view.peers(bench.agent, bench.now)["peers"] if p["name"] == "tor1"]
    assert (waiting["state"], waiting["reason"]) == ("waiting", "the link has no carrier")
    assert waiting["times_down"] == 1

    bench.kernel.set_carrier("eth1", True)
    bench.rediscover()
    bench.step(*establishing("tor1"), announce("tor1", "eth1"))
    assert legs(bench) == BOTH
    (back,) = [p for p in view.peers(bench.agent, bench.now)["peers"] if p["name"] == "tor1"]
    assert (back["state"], back["times_down"]) == ("established", 1)
    assert back["last_down"] == "the link has no carrier"


def test_a_tor_with_another_address_is_another_router(bench: Bench) -> None:
    find(bench)
    bench.advertisements.routers["eth1"] = "fe80::99"
    bench.rediscover()
    assert legs(bench) == SECOND
    shown = {p["name"]: p for p in view.peers(bench.agent, bench.now)["peers"]}
    assert shown["tor1"]["state"] == "connect"
    assert shown["tor1"]["last_down"] == "one end of the link has another address now"
    assert shown["tor2"]["state"] == "established"


def test_routes_found_at_start_wait_for_peers_that_were_not_found_yet(bench: Bench) -> None:
    find(bench)
    assert legs(bench) == BOTH
    again = Bench(bench.kernel, CONFIG)
    again.step()
    again.step(SpeakerStarted(pid=8))
    assert legs(again) == BOTH
    again.advertisements.routers = {"eth1": "fe80::1", "eth2": "fe80::1"}
    again.rediscover()
    assert legs(again) == BOTH
    again.step(*establishing("tor2"), announce("tor2", "eth2"))
    for family in (4, 6):
        again.step(EndOfRib(peer=PeerId("tor2"), family=family))
    # tor1 has said nothing, and another prefix may be its alone.
    assert again.agent.sessions.after_start.holds(again.now)
    again.step(after_s=121)
    assert not again.agent.sessions.after_start.holds(again.now)


def test_advertised_default_routes_are_for_other_links() -> None:
    current = {
        key: "1"
        for key in keys(("eth1",), ("eth0", "eth1"), ("eth1", "eth2"))
        if "accept_ra" in key or "forwarding" in key
    }
    writes = plan_sysctls(current, ("eth1",), ("eth0", "eth1"), ("eth1", "eth2"))
    assert [(w.key, w.value) for w in writes if "accept_ra" in w.key] == [
        ("net/ipv6/conf/eth1/accept_ra", "0"),
        ("net/ipv6/conf/eth2/accept_ra", "0"),
        ("net/ipv6/conf/eth0/accept_ra", "2"),
    ]


@pytest.mark.parametrize("form", Form)
def test_legs_without_carrier_are_left_by_sysctl_only_where_routes_carry_them(form: Form) -> None:
    wanted = keys(("eth1",), (), (), form)
    writes = plan_sysctls(dict.fromkeys(wanted, "0"), ("eth1",), (), (), form)
    assert [(w.key, w.value) for w in writes if "linkdown" in w.key] == [
        (f"net/{family}/conf/eth1/ignore_routes_with_linkdown", "1")
        for family in ("ipv4", "ipv6")
        if form is Form.PLAIN
    ]


def test_the_sysctls_of_fabric_links_are_set(bench: Bench) -> None:
    bench.kernel.sysctls |= {f"net/ipv6/conf/eth{n}/accept_ra": "1" for n in (1, 2)}
    bench.step()
    assert bench.kernel.sysctls["net/ipv6/conf/eth1/accept_ra"] == "0"
    bench.kernel.sysctls["net/ipv6/conf/eth2/accept_ra"] = "2"
    bench.kernel.noticed = Noticed(links=True, fib=False)
    bench.step()
    assert bench.kernel.sysctls["net/ipv6/conf/eth2/accept_ra"] == "0"
