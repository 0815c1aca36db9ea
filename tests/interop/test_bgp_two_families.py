"""Both families on one session with real FRR, and a ToR that does not want both."""

from __future__ import annotations

import time

import pytest

from tests.support.agent_host import AgentHost, Document, StartAgent, document
from tests.support.bgp_fabric import OWN, THEIRS, BgpFabric, MakeFabric, frr_of, wait_received
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
BOTH = ["ipv4", "ipv6"]


def both(fabric: BgpFabric) -> Document:
    config = document(fabric)
    config["peers"][0]["families"] = BOTH
    return config


def activate(fabric: BgpFabric, address: str) -> None:
    frr_of(fabric).configure("address-family ipv6 unicast", f"neighbor {address} activate")


def uses(fabric: BgpFabric, prefix: str) -> str:
    return fabric.node.run(["ip", "route", "show", prefix]).stdout


def test_both_families_on_an_ipv4_session(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr")
    agent = start_agent(fabric, both(fabric))
    address = fabric.own_addresses(1)[0]
    activate(fabric, address)

    peer = agent.wait_peer(
        "tor1",
        "both families",
        lambda p: all(f["end_of_rib_received"] for f in p["families"].values()),
    )
    assert {name: f["negotiated"] for name, f in peer["families"].items()} == {
        "ipv4 unicast": True,
        "ipv6 unicast": True,
    }
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    wait_until(
        lambda: frr_of(fabric).next_hops("ipv6", address, OWN[1]) == ["fd00:0:1::3"],
        deadline_s=5,
        what="our IPv6 pod CIDR with the link's global address",
    )
    wait_until(
        lambda: "via fd00:0:1::2" in fabric.node.run(["ip", "-6", "route"]).stdout,
        deadline_s=5,
        what="their IPv6 route in the kernel",
    )
    assert agent.ask("status")["ok"], agent.ask("status")["reasons"]

    fabric.node.run(["ip", "address", "del", "fd00:0:1::3/127", "dev", "eth1"])
    agent.wait_status("tor1: ipv6 is not announced to it: link eth1 has no global IPv6 address")
    wait_until(
        lambda: frr_of(fabric).next_hops("ipv6", address, OWN[1]) == [],
        deadline_s=5,
        what="IPv6 withdrawn",
    )
    assert agent.peer("tor1")["times_down"] == 0
    assert agent.ask("status")["readiness"]["state"] == "ready"


def test_both_families_on_an_ipv6_session(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr")
    config = document(fabric, families=(6,))
    config["peers"][0]["families"] = BOTH
    agent = start_agent(fabric, config)
    v4, v6 = fabric.own_addresses(1)
    frr_of(fabric).configure("address-family ipv4 unicast", f"neighbor {v6} activate")

    agent.wait_peer(
        "tor1-v6", "both families", lambda p: all(f["accepted"] for f in p["families"].values())
    )

    wait_until(
        lambda: frr_of(fabric).next_hops("ipv4", v6, OWN[0]) == [v4],
        deadline_s=5,
        what="our IPv4 pod CIDR with the link's IPv4 address",
    )
    wait_until(
        lambda: "10.0.1.2" in uses(fabric, THEIRS[0]) or "fd00:0:1::2" in uses(fabric, THEIRS[0]),
        deadline_s=5,
        what="their IPv4 route",
    )


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_nobody_waits_for_a_family_that_the_tor_does_not_offer(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    # Failure matrix, row 19: we offer both, the ToR IPv4 alone, graceful restart on both sides.
    fabric = make_fabric("frr")
    agent = start_agent(fabric, both(fabric))
    address = fabric.own_addresses(1)[0]
    agent.wait_established("tor1")
    peer = agent.wait_peer(
        "tor1", "End-of-RIB", lambda p: bool(p["families"]["ipv4 unicast"]["end_of_rib_received"])
    )
    assert not peer["families"]["ipv6 unicast"]["negotiated"]
    assert not peer["families"]["ipv6 unicast"]["end_of_rib_sent"]
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    wait_done(agent)
    assert agent.ask("status")["readiness"]["state"] == "ready"

    # The same for paths that went stale with the speaker: gone with End-of-RIB, not after 120 s.
    frr_of(fabric).configure("address-family ipv4 unicast", "network 10.77.0.0/24")
    wait_until(lambda: "via" in uses(fabric, "10.77.0.0/24"), deadline_s=5, what="one more route")
    fabric.node.run(["kill", "-STOP", str(agent.ask("status")["speaker"]["pid"])])
    frr_of(fabric).configure("address-family ipv4 unicast", "no network 10.77.0.0/24")
    began = time.monotonic()
    wait_until(lambda: not uses(fabric, "10.77.0.0/24"), deadline_s=30, what="the stale route gone")
    assert time.monotonic() - began < 20
    assert THEIRS[0] in uses(fabric, THEIRS[0])


def wait_done(agent: AgentHost) -> None:
    wait_until(
        lambda: agent.ask("status")["waiting_for_end_of_rib"] == [],
        deadline_s=5,
        what="nothing is waited for",
    )
