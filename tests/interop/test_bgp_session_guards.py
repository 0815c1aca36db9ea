"""What guards a session: passwords, TTLs, AS numbers; and what status says when they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.agent_host import StartAgent, document
from tests.support.bgp_fabric import NODE_ASN, OWN, THEIRS, MakeFabric, frr_of, wait_received
from tests.support.netns import Namespace, join
from tests.support.raw_speaker import RawSpeaker
from tests.support.speaker_host import SpeakerHost
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
PASSWORD_FILE = "/run/password"


def test_a_rotated_password_resets_its_peer_only(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr", "frr", password="first")
    config = document(fabric)
    config["peers"][0]["password_file"] = PASSWORD_FILE
    fabric.node.run(["tee", "/run/other"], input="first\n")
    config["peers"][1]["password_file"] = "/run/other"
    agent = start_agent(fabric, config)
    peer = agent.wait_peer("tor1", "disabled", lambda p: bool(p["state"] == "disabled"))
    assert (
        peer["reason"] == f"its password is not there: {PASSWORD_FILE}: No such file or directory"
    )
    since = agent.wait_established("tor2")
    agent.wait_status("tor1 is disabled", PASSWORD_FILE)

    fabric.node.run(["tee", PASSWORD_FILE], input="first\n")
    first = agent.wait_established("tor1")
    fabric.node.run(["tee", PASSWORD_FILE], input="second\n")
    reasons = agent.wait_status("tor1 is not established", "or the MD5 passwords differ")
    assert not any("second" in reason for reason in reasons)
    address = fabric.own_addresses(1)[0]
    frr_of(fabric).configure(f"neighbor {address} password second")
    agent.wait_peer(
        "tor1",
        "established anew",
        lambda p: bool(p["state"] == "established" and p["since"] != first["tor1"]),
        deadline_s=30,
    )
    wait_received(frr_of(fabric), address, {OWN[0]: address})

    assert agent.peer("tor2")["since"] == since["tor2"]


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
@pytest.mark.parametrize("family", [4, 6])
def test_ttl_security(make_fabric: MakeFabric, start_agent: StartAgent, family: int) -> None:
    fabric = make_fabric("frr")
    config = document(fabric, families=(family,))
    name = config["peers"][0]["name"]
    config["peers"][0]["ttl_security"] = True
    agent = start_agent(fabric, config)
    address = fabric.own_addresses(1)[0 if family == 4 else 1]

    if family == 4:
        # FRR answers with TTL 255, but then sends with TTL 1 unless told otherwise.
        agent.wait_status(f"{name} is not established", "(ttl_security)")
        assert agent.peer(name)["times_down"] == 0

    frr_of(fabric).configure(f"neighbor {address} ttl-security hops 1")
    agent.wait_established(name, deadline_s=30)
    own = OWN[0 if family == 4 else 1]
    wait_received(frr_of(fabric), address, {own: address})


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_a_low_ttl_is_refused_within_a_session(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr")
    config = document(fabric)
    config["peers"][0]["ttl_security"] = True
    agent = start_agent(fabric, config)
    address = fabric.own_addresses(1)[0]
    frr_of(fabric).configure(f"neighbor {address} ttl-security hops 1")
    agent.wait_established("tor1", deadline_s=30)

    chain = "type filter hook output priority 0; tcp sport 179 ip ttl set 254;"
    rule = f"table ip t {{ chain c {{ {chain} }}; }}"
    fabric.namespaces[0].run(["nft", "-f", "-"], input=rule)

    peer = agent.wait_peer("tor1", "down", lambda p: bool(p["times_down"] == 1), deadline_s=20)
    assert peer["last_down"].startswith("hold timer expired (4/0), sent")


def test_external_and_internal(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr", "frr")
    config = document(fabric)
    config["peers"][0]["remote_asn"] = "external"
    config["peers"][1] |= {"remote_asn": "internal", "local_asn": 65102}
    agent = start_agent(fabric, config)
    second = fabric.own_addresses(2)[0]
    frr_of(fabric, 2).configure(f"neighbor {second} remote-as 65102")
    since = agent.wait_established("tor1", "tor2")
    assert agent.peer("tor1")["remote_asn"] == 65101

    first = fabric.own_addresses(1)[0]
    config["peers"][0]["local_asn"] = 65101
    frr_of(fabric).configure(f"neighbor {first} remote-as 65101")
    agent.write(config)
    agent.wait_status("tor1 is not established", "bad peer AS (2/2), sent")
    assert agent.peer("tor2")["since"] == since["tor2"]


def test_our_own_as_is_refused_with_the_right_words(
    make_namespace: Callable[[str], Namespace], receive: str
) -> None:
    tor, node = make_namespace("tor"), make_namespace("node")
    join(tor, "node", node, "tor")
    tor.run(["ip", "address", "add", "10.0.1.2/31", "dev", "node"])
    node.run(["ip", "address", "add", "10.0.1.3/31", "dev", "tor"])
    raw = RawSpeaker(tor, "10.0.1.2", NODE_ASN)
    host = SpeakerHost(node, receive=receive)
    try:
        host.configure([{"name": "tor", "address": "10.0.1.2", "remote_asn": None}], [])
        host.wait("refused", lambda s: "bad peer AS" in s["sessions"]["tor"]["last_down"])
        assert raw.state()["notifications"][0] == "2/2"
        assert not host.events("SessionUp")
    finally:
        host.close()
        raw.close()


def test_status_names_the_cause(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    # Failure matrix, rows 15 and 16.
    fabric = make_fabric("frr", "frr")
    config = document(fabric)
    config["peers"][0]["remote_asn"] = 64999
    agent = start_agent(fabric, config)
    agent.wait_established("tor2")
    agent.wait_status("tor1 is not established: bad peer AS (2/2), sent")

    fabric.node.run(["tee", PASSWORD_FILE], input="wrong\n")
    config["peers"][0] |= {"remote_asn": 65101, "password_file": PASSWORD_FILE}
    agent.write(config)
    agent.wait_status("tor1 is not established", "or the MD5 passwords differ")

    del config["peers"][0]["password_file"]
    agent.write(config)
    since = agent.wait_established("tor1", "tor2", deadline_s=40)
    agent.write("peers: 3\n")
    agent.wait_status(
        "configuration: not in force", "/run/agent.yaml: line 1: peers: must be a list"
    )
    assert {name: agent.peer(name)["since"] for name in since} == since


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_a_peer_sees_the_as_that_it_was_given_and_no_other(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr")
    config = document(fabric)
    config["peers"][0]["local_asn"] = 64999
    agent = start_agent(fabric, config)
    address = fabric.own_addresses(1)[0]
    frr_of(fabric).configure(f"neighbor {address} remote-as 64999")
    agent.wait_established("tor1")
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    assert frr_of(fabric).seen(OWN[0]).as_path == (64999,)


def test_a_loop_is_named_and_may_be_allowed(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    # Failure matrix, row 16: all nodes have one AS, and the ToR says so of their routes.
    fabric = make_fabric("frr")
    config = document(fabric)
    agent = start_agent(fabric, config)
    address = fabric.own_addresses(1)[0]
    frr = frr_of(fabric)
    frr.enter("route-map LOOP permit 10", f"set as-path prepend {NODE_ASN}")
    frr.configure("address-family ipv4 unicast", f"neighbor {address} route-map LOOP out")
    since = agent.wait_established("tor1")

    agent.wait_status("tor1: 1 ipv4 prefixes are refused", THEIRS[0], "own ASN in AS path")
    routes = {route["prefix"]: route for route in agent.ask("routes")["routes"]}
    assert routes[THEIRS[0]]["rejected"][0]["reason"] == "own ASN in AS path"

    config["peers"][0]["allow_own_asn"] = 1
    agent.write(config)
    wait_until(
        lambda: "via" in fabric.node.run(["ip", "route", "show", THEIRS[0]]).stdout,
        deadline_s=5,
        what="the route, without a refresh",
    )
    assert agent.peer("tor1")["since"] == since["tor1"]
    assert agent.ask("status")["ok"], agent.ask("status")["reasons"]
