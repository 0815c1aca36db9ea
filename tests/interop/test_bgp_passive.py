"""Peers that dial us: FRR as the only one that opens connections, and who else tries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.agent_host import Document, StartAgent, document
from tests.support.bgp_fabric import OWN, THEIRS, BgpFabric, MakeFabric, frr_of, wait_received
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def passive(fabric: BgpFabric, family: int = 4, **fields: Any) -> Document:
    config = document(fabric, families=(family,))
    config["page"] = {"listen": "none"}  # what listens then is the speaker
    local = fabric.own_addresses(1)[0 if family == 4 else 1]
    config["peers"][0] |= {"passive": True, "local_address": local, **fields}
    return config


def listeners(fabric: BgpFabric) -> list[str]:
    """Return where TCP sockets listen on the node."""
    shown = fabric.node.run(["ss", "-Hltn"]).stdout
    return sorted(line.split()[3] for line in shown.splitlines())


def capabilities(fabric: BgpFabric, pid: int) -> set[str]:
    shown = fabric.node.run(["cat", f"/proc/{pid}/status"]).stdout
    return {line.split()[1].lstrip("0") for line in shown.splitlines() if line.startswith("Cap")}


def connect_from(fabric: BgpFabric, index: int, address: str, *, source: str = "") -> str:
    """Open a connection from a router's namespace; return what comes before it is closed."""
    program = (
        "import socket, sys\n"
        "s = socket.create_connection((sys.argv[1], 179), 3, (sys.argv[2], 0))\n"
        "s.settimeout(3)\n"
        "print(s.recv(100).hex())\n"
    )
    run = fabric.namespaces[index - 1].run
    return run(["python3", "-c", program, address, source]).stdout.strip()


def test_a_passive_peer_dials_and_nobody_else_gets_in(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr", "frr")
    config = passive(fabric, password_file="/run/password")
    fabric.node.run(["tee", "/run/password"], input="word\n")
    address, other = fabric.own_addresses(1)[0], fabric.own_addresses(2)[0]
    agent = start_agent(fabric, config)
    peer = agent.wait_peer("tor1", "active", lambda p: bool(p["state"] == "active"))
    agent.wait_status("tor1 is not established", f"we only listen, at {address} port 179")
    assert peer["times_down"] == 0

    frr_of(fabric).configure(f"neighbor {address} password word")
    since = agent.wait_established("tor1", "tor2", deadline_s=30)
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    wait_until(
        lambda: fabric.node.run(["ip", "route", "show", THEIRS[0]]).stdout.count(" via ") == 2,
        deadline_s=5,
        what="both next hops",
    )
    assert listeners(fabric) == [f"{address}:179"]
    assert capabilities(fabric, agent.ask("status")["speaker"]["pid"]) == {"400"}

    fabric.node.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    fabric.namespaces[1].run(["ip", "route", "replace", f"{address}/32", "via", other])
    assert connect_from(fabric, 2, address, source=fabric.their_addresses(2)[0]) == ""
    assert {name: agent.peer(name)["since"] for name in since} == since

    config["peers"][0] |= {"shutdown": True}
    agent.write(config)
    agent.wait_peer("tor1", "shutdown", lambda p: bool(p["times_down"] == 1))
    wait_until(lambda: listeners(fabric) == [], deadline_s=5, what="nobody listens")
    del config["peers"][0]["shutdown"]
    agent.write(config)
    agent.wait_established("tor1", deadline_s=30)
    assert agent.peer("tor2")["since"] == since["tor2"]


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
@pytest.mark.parametrize("family", [4, 6])
def test_a_passive_peer_with_ttl_security_at_another_port(
    make_fabric: MakeFabric, start_agent: StartAgent, family: int
) -> None:
    fabric = make_fabric("frr")
    address, own = fabric.own_addresses(1)[0 if family == 4 else 1], OWN[0 if family == 4 else 1]
    config = passive(fabric, family, ttl_security=True, port=1790)
    name = config["peers"][0]["name"]
    agent = start_agent(fabric, config)
    frr_of(fabric).configure(
        f"neighbor {address} ttl-security hops 1", f"neighbor {address} port 1790"
    )
    agent.wait_established(name, deadline_s=30)
    wait_received(frr_of(fabric), address, {own: address})
    # No privilege is needed for that port, so there is none.
    assert capabilities(fabric, agent.ask("status")["speaker"]["pid"]) == {""}


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_a_passive_peer_that_comes_later_disturbs_nobody(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr", "frr")
    agent = start_agent(fabric, document(fabric))
    since = agent.wait_established("tor1", "tor2")
    agent.write(passive(fabric))
    peer = agent.wait_peer("tor1", "disabled", lambda p: bool(p["state"] == "disabled"))
    assert "without the right to listen at port 179" in peer["reason"]
    assert agent.peer("tor2")["since"] == since["tor2"]
    agent.write(passive(fabric, local_address="10.99.99.99", port=1790))
    agent.wait_status("tor1 is not established", "at 10.99.99.99 port 1790, which no link of this")
    assert agent.peer("tor2")["since"] == since["tor2"]
    assert listeners(fabric) == ["10.99.99.99:1790"]


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_a_port_that_another_program_has_is_told_and_costs_nobody_else(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr", "frr")
    address = fabric.own_addresses(1)[0]
    listen = (
        "import socket, sys\n"
        "s = socket.create_server((sys.argv[1], 179))\n"
        "while True: s.accept()[0].close()\n"
    )
    other = fabric.node.popen(["python3", "-c", listen, address])
    wait_until(lambda: listeners(fabric), deadline_s=5, what="another program")
    config = passive(fabric)
    agent = start_agent(fabric, config)
    since = agent.wait_established("tor2")
    agent.wait_status(f"the speaker cannot listen at {address} port 179: is another program there?")
    fabric.node.kill(other)
    other.wait(timeout=5)
    # Looked at again with every change of the peers.
    config["peers"][0]["hold_time_s"] = 12
    agent.write(config)
    agent.wait_established("tor1", deadline_s=30)
    assert agent.peer("tor2")["since"] == since["tor2"]
    assert agent.ask("status")["ok"], agent.ask("status")["reasons"]
