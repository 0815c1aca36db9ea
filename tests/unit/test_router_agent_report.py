"""What the agent says in BGPNodeStatus; the schema takes all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bgp.event import Connected, SessionDown
from bgp.peer_id import PeerId
from containerlab.fakeapi.structural import admit, refuse
from router.agent.report import LOOK_S, Looking, node_report, waiting_report
from router.config.crd_status import bgp_node_status
from router.reconcile.drain import Order
from router.reconcile.node_report import Report
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, update

AT = "2026-01-02T03:04:05Z"
SCHEMA = bgp_node_status()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
POD = "10.244.2.0/24"


def stored(report: Report) -> dict[str, Any]:
    """Return the status as an API server stores it; nothing may be dropped or refused."""
    given = {"metadata": {"name": "node1"}, "status": report.rendered([], AT)}
    kept = admit(SCHEMA, given, strict=True)
    refuse(SCHEMA, kept, "BGPNodeStatus")
    status: dict[str, Any] = kept["status"]
    return status


def told(bench: Bench) -> dict[str, Any]:
    return stored(node_report(bench.agent, bench.now, 0.0))


def conditions(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.establish("tor1", "tor2")
    made.step(update("tor1", POD), update("tor2", POD))
    made.step()
    return made


def test_sessions_and_routes(bench: Bench) -> None:
    status = told(bench)
    assert status["peers"] == {"configured": 2, "established": 2}
    assert status["routes"] == {"received": 2, "accepted": 2, "installed": 1, "announced": 2}
    session = status["sessions"][0]
    assert (session["name"], session["state"], session["remote_asn"]) == (
        "tor1",
        "established",
        65101,
    )
    (family,) = session["families"]
    assert family | {"announced": 0} == {
        "family": "ipv4",
        "negotiated": True,
        "received": 1,
        "accepted": 1,
        "rejected": 0,
        "announced": 0,
    }
    assert conditions(status) == {
        # The model of the speaker acknowledges nothing.
        "Ready": ("False", "PodrouteNotAnnounced"),
        "ConfigurationInForce": ("True", "InForce"),
        "ReferencesFound": ("True", "Found"),
        "PodCIDRsUnique": ("True", "Unique"),
    }


def test_a_pod_cidr_of_two_nodes_is_a_condition(bench: Bench) -> None:
    bench.step(update("tor1", "10.244.1.0/24"), after_s=5)
    status = told(bench)
    (said,) = (c for c in status["conditions"] if c["type"] == "PodCIDRsUnique")
    assert (said["status"], said["reason"]) == ("False", "Unclaimed")
    assert "AS 65202 by tor1" in said["message"]


def test_a_lost_session_says_why(bench: Bench) -> None:
    bench.step(down("tor1"))
    session = told(bench)["sessions"][0]
    assert session["times_down"] == 1
    assert session["state"] == "connect"
    assert session["last_down"]


def test_what_is_wrong_stands_in_conditions_and_reasons(bench: Bench) -> None:
    bench.agent.problems["configuration"] = "not in force: BGPPeer x: spec.port: no"
    settings = bench.agent.settings
    tor1 = replace(settings.peers[0], disabled="its password is not there: bgp/tor1")
    bench.agent.reconfigure(
        replace(settings, peers=(tor1, settings.peers[1]), notes=("the node has no gateway",))
    )
    bench.step()
    status = told(bench)
    assert conditions(status)["ConfigurationInForce"] == ("False", "NotInForce")
    missing = next(c for c in status["conditions"] if c["type"] == "ReferencesFound")
    assert missing["status"] == "False"
    assert "tor1 is disabled: its password is not there" in missing["message"]
    assert "the node has no gateway" in missing["message"]
    assert any("spec.port" in reason for reason in status["reasons"])
    assert status["sessions"][0]["state"] == "disabled"


def test_a_drain_is_told(bench: Bench) -> None:
    bench.agent.draining.order(Order(since=0.0, prepend=0, wait_s=30.0), bench.now)
    bench.step()
    drain = told(bench)["drain"]
    assert drain["phase"] in ("marking", "waiting")
    assert drain["since"] == "1970-01-01T00:00:00.000Z"


def test_an_agent_at_rest_says_always_the_same(bench: Bench) -> None:
    first = node_report(bench.agent, bench.now, 0.0)
    for _ in range(30):
        bench.step()
    assert node_report(bench.agent, bench.now, 100.0) == first


def test_a_vain_attempt_after_another_is_no_change(bench: Bench) -> None:
    bench.reconfigure(CONFIG + "  - {name: tor3, address: 10.0.2.9, remote_asn: 65103}\n")
    bench.step()
    essences = set()
    bench.step(Connected(peer=PeerId("tor3")))
    bench.step(SessionDown(peer=PeerId("tor3"), reason="closing connection"))
    for _ in range(5):
        peer = PeerId("tor3")
        bench.step(Connected(peer=peer))
        essences.add(node_report(bench.agent, bench.now, 0.0).essence())
        bench.step(SessionDown(peer=peer, reason="closing connection"), after_s=3.0)
        essences.add(node_report(bench.agent, bench.now, 0.0).essence())
    assert len(essences) == 1


def test_an_agent_without_a_configuration_says_so() -> None:
    status = stored(waiting_report("node1", "BGPPeer x: spec.port: no"))
    assert set(conditions(status).values()) == {
        ("False", "PodrouteNoConfiguration"),
        ("False", "NoConfiguration"),
    }


def test_looks_are_bounded_by_what_they_cost() -> None:
    clock = [0.0]

    def make() -> Report:
        clock[0] += 0.1
        return Report()

    looking = Looking(lambda: clock[0])
    assert looking.look(make) is not None
    clock[0] = 4.9
    assert looking.look(make) is None
    clock[0] = 5.01
    assert looking.look(make) is not None
    quick = Looking(lambda: clock[0])
    assert quick.look(Report) is not None
    clock[0] += LOOK_S
    assert quick.look(Report) is not None
