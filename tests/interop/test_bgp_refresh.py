"""Route refresh (RFC 2918): asked for, answered; and not needed for a changed policy."""

from __future__ import annotations

import pytest

from tests.support.agent_host import StartAgent, document
from tests.support.bgp_fabric import OWN, MakeFabric, frr_of, wait_received
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def test_refresh(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr")
    frr, address = frr_of(fabric), fabric.own_addresses(1)[0]
    config = document(fabric)
    agent = start_agent(fabric, config)
    # Without a copy of what it received, FRR has to ask.
    frr.configure(
        "address-family ipv4 unicast",
        f"no neighbor {address} soft-reconfiguration inbound",
        "network 172.16.0.0/24",
    )
    since = agent.wait_established("tor1")
    wait_until(lambda: OWN[0] in frr.table("ipv4"), deadline_s=10, what="our pod CIDR")

    # A policy that refuses what it had, and then takes it again, at both ends.
    frr.enter("route-map NONE deny 10")
    frr.configure("address-family ipv4 unicast", f"neighbor {address} route-map NONE in")
    wait_until(lambda: OWN[0] not in frr.table("ipv4"), deadline_s=10, what="refused by FRR")
    asked = frr.neighbor(address)["messageStats"]["routeRefreshSent"]
    frr.configure("address-family ipv4 unicast", f"no neighbor {address} route-map NONE in")
    wait_until(lambda: OWN[0] in frr.table("ipv4"), deadline_s=10, what="our pod CIDR again")
    assert frr.neighbor(address)["messageStats"]["routeRefreshSent"] > asked

    routes = {route["prefix"]: route for route in agent.ask("routes")["routes"]}
    assert routes["172.16.0.0/24"]["rejected"], routes
    # What we have sent are the marks around our answers (RFC 7313).
    told = frr.neighbor(address)["messageStats"]["routeRefreshRecv"]
    config["import"]["also_accept"].append({"prefix": "172.16.0.0/24"})
    agent.write(config)
    wait_until(
        lambda: "via" in fabric.node.run(["ip", "route", "show", "172.16.0.0/24"]).stdout,
        deadline_s=5,
        what="the route that was refused",
    )
    assert frr.neighbor(address)["messageStats"]["routeRefreshRecv"] == told
    assert agent.peer("tor1")["since"] == since["tor1"]


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_source_address_and_interface(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr", "frr")
    own, theirs = "10.99.0.3", fabric.their_addresses(1)[0]
    fabric.node.run(["ip", "address", "add", f"{own}/32", "dev", "lo"])
    fabric.namespaces[0].run(["ip", "route", "add", own, "via", fabric.own_addresses(1)[0]])
    config = document(fabric)
    config["peers"][0] |= {"local_address": own}
    agent = start_agent(fabric, config)
    frr_of(fabric).configure(
        f"neighbor {own} remote-as 65201",
        f"neighbor {own} ebgp-multihop 2",
        f"neighbor {own} timers connect 1",
        "address-family ipv4 unicast",
        f"neighbor {own} activate",
    )
    since = agent.wait_established("tor1", "tor2", deadline_s=30)
    wait_received(frr_of(fabric), own, {OWN[0]: own})

    # Bound to the wrong link it cannot get through; to the right one it does.
    config["peers"][0]["source_interface"] = "eth2"
    agent.write(config)
    agent.wait_peer("tor1", "down", lambda p: bool(p["times_down"] == 1))
    reasons = agent.wait_status("tor1 is not established", f"no answer at {theirs} port 179")
    assert not any("tor2" in reason for reason in reasons)
    config["peers"][0]["source_interface"] = "eth1"
    agent.write(config)
    agent.wait_established("tor1", deadline_s=30)
    assert agent.peer("tor2")["since"] == since["tor2"]
