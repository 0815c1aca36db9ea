"""The agent's sessions with real FRR: ended for a reason, kept down, brought back."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.agent_host import StartAgent, document
from tests.support.bgp_fabric import OWN, THEIRS, BgpFabric, MakeFabric, frr_of, wait_received
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


def kernel_routes(fabric: BgpFabric) -> set[str]:
    shown = fabric.node.run(["ip", "route", "show", "proto", "74"]).stdout
    return {line.split()[0] for line in shown.splitlines() if line and not line.startswith("\t")}


def hops(fabric: BgpFabric, prefix: str) -> int:
    return fabric.node.run(["ip", "route", "show", prefix]).stdout.count(" via ")


def test_shutdown_says_so_and_keeps_the_peer_down(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    fabric = make_fabric("frr", "bird")
    config = document(fabric)
    agent = start_agent(fabric, config)
    since = agent.wait_established("tor1", "tor2")
    address = fabric.own_addresses(1)[0]
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    wait_until(lambda: hops(fabric, THEIRS[0]) == 2, deadline_s=5, what="both next hops")

    config["peers"][0] |= {"shutdown": True, "shutdown_text": "new cables"}
    agent.write(config)

    peer = agent.wait_peer("tor1", "shutdown", lambda p: bool(p["times_down"] == 1))
    assert peer["state"] == "shutdown"
    assert peer["reason"] == "shut down in the configuration: new cables"
    assert peer["last_down"].startswith("administrative shutdown (6/2), sent")
    wait_until(lambda: hops(fabric, THEIRS[0]) == 1, deadline_s=5, what="one next hop")
    wait_received(frr_of(fabric), address, {})
    told = frr_of(fabric).neighbor(address)
    assert told["lastNotificationReason"] == "Cease/Administrative Shutdown", told
    assert told["lastShutdownDescription"] == "new cables"
    established = told["connectionsEstablished"]
    assert agent.ask("status")["ok"], agent.ask("status")["reasons"]

    config["peers"][0]["shutdown"] = False
    agent.write(config)
    agent.wait_established("tor1")
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    assert frr_of(fabric).neighbor(address)["connectionsEstablished"] == established + 1
    assert agent.peer("tor2")["since"] == since["tor2"]


def test_a_peer_that_floods_is_held_down_and_the_other_unharmed(
    make_fabric: MakeFabric, start_agent: StartAgent
) -> None:
    # Failure matrix, row 9: a ToR announces ten times as much as it may.
    fabric = make_fabric("frr", "frr")
    config = document(fabric)
    limit = {"ipv4": 100, "action": "teardown", "retry_after_s": 4}
    config["peers"][0]["max_prefixes"] = config["peers"][1]["max_prefixes"] = limit
    agent = start_agent(fabric, config)
    since = agent.wait_established("tor1", "tor2")
    wait_until(lambda: hops(fabric, THEIRS[0]) == 2, deadline_s=5, what="both next hops")

    networks = [f"network 10.77.{i // 256}.{i % 256}/32" for i in range(1000)]
    frr_of(fabric).configure("address-family ipv4 unicast", *networks)

    peer = agent.wait_peer("tor1", "held", lambda p: bool(p["state"] == "held"))
    assert "ipv4 prefixes received, the limit is 100; tried again in" in peer["reason"]
    reasons = agent.wait_status("tor1 is held", "the limit is 100")
    assert not any("tor2" in reason for reason in reasons), reasons
    address = fabric.own_addresses(1)[0]
    told = frr_of(fabric).neighbor(address)
    assert told["lastNotificationReason"] == "Cease/Maximum Number of Prefixes Reached", told
    wait_until(lambda: kernel_routes(fabric) == {THEIRS[0]}, deadline_s=5, what="tor2's routes")
    assert hops(fabric, THEIRS[0]) == 1

    frr_of(fabric).configure("address-family ipv4 unicast", *(f"no {line}" for line in networks))
    agent.wait_established("tor1")
    wait_until(lambda: hops(fabric, THEIRS[0]) == 2, deadline_s=5, what="both next hops")
    wait_received(frr_of(fabric), address, {OWN[0]: address})
    assert agent.peer("tor2")["since"] == since["tor2"]


def test_too_many_prefixes_may_only_warn(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr")
    config = document(fabric)
    config["peers"][0]["max_prefixes"] = {"ipv4": 1, "action": "warn"}
    agent = start_agent(fabric, config)
    agent.wait_established("tor1")
    frr_of(fabric).configure("address-family ipv4 unicast", "network 10.77.0.0/24")

    # FRR announces our own prefix back to us.
    reasons = agent.wait_status("tor1: 3 ipv4 prefixes received, the limit is 1")

    assert len(reasons) == 1
    assert agent.peer("tor1")["times_down"] == 0


def test_a_removed_peer_is_told(make_fabric: MakeFabric, start_agent: StartAgent) -> None:
    fabric = make_fabric("frr", "bird")
    config = document(fabric)
    agent = start_agent(fabric, config)
    since = agent.wait_established("tor1", "tor2")
    del config["peers"][0]
    agent.write(config)

    address = fabric.own_addresses(1)[0]
    wait_until(
        lambda: frr_of(fabric).neighbor(address).get("lastNotificationReason"),
        deadline_s=10,
        what="a NOTIFICATION at tor1",
    )
    told = frr_of(fabric).neighbor(address)["lastNotificationReason"]
    assert told == "Cease/Peer De-configured", told
    assert agent.peer("tor2")["since"] == since["tor2"]


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_an_exabgp_that_is_not_known_withdraws_and_closes(
    make_fabric: MakeFabric, tmp_path: Path
) -> None:
    # Without the launcher's command, a peer that leaves hears no reason, but our withdrawals.
    tmp_path.chmod(0o755)
    source = find_spec("exabgp")
    assert source is not None
    assert source.origin is not None
    shutil.copytree(Path(source.origin).parent, tmp_path / "exabgp")
    version = tmp_path / "exabgp" / "version.py"
    version.write_text(version.read_text() + "\nrelease = '5.0.99'\n")
    fabric = make_fabric("frr", "bird")
    for router in fabric.routers:
        router.start()
    host = fabric.start_host(library=tmp_path)
    peers = [peer for peer in fabric.peers() if peer["name"].endswith("v4")]
    host.configure(peers, [OWN[0]])
    since = host.wait_established(deadline_s=30)["sessions"]["tor2-v4"]["since"]
    address = fabric.own_addresses(1)[0]
    wait_received(frr_of(fabric), address, {OWN[0]: address})

    host.configure(peers[1:], [OWN[0]])

    wait_received(frr_of(fabric), address, {})
    wait_until(
        lambda: frr_of(fabric).neighbor(address)["bgpState"] != "Established",
        deadline_s=5,
        what="the session ends",
    )
    assert host.state()["sessions"]["tor2-v4"]["since"] == since
    assert "lastNotificationReason" not in frr_of(fabric).neighbor(address)
