"""`podroute doctor`: what came from the agent's memory, and which cause comes first."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from bgp.event import Sent, SpeakerExited, Updated
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent.facts import facts
from router.kernel.monitor import Intrusion, Noticed
from router.reconcile.diagnosis import Finding, Seen, diagnose
from tests.support.agent import Bench
from tests.support.bgp_events import down, update

OWN = "10.244.1.0/24"


def healthy() -> Bench:
    bench = Bench()
    bench.establish("tor1", "tor2", restart_time_s=120)
    bench.step(update("tor1", "10.244.2.0/24"))
    return bench


def found(bench: Bench, **changes: Any) -> tuple[Finding, ...]:
    bench.step()
    return diagnose(Seen(agent=facts(bench.agent) | changes))


def told_of_ours(as_path: tuple[int, ...], *, is_announced: bool = True) -> Bench:
    bench = healthy()
    if is_announced:
        announced = frozenset({Prefix.parse(OWN)})
        bench.step(Sent(peer=PeerId("tor1"), announced=announced))
    (change,) = update("tor1", OWN).changes
    assert change.attributes is not None
    attributes = type(change.attributes)(next_hop=ip_address("10.0.1.2"), as_path=as_path)
    bench.step(Updated(peer=PeerId("tor1"), changes=(change._replace(attributes=attributes),)))
    return bench


def test_a_tor_that_has_our_prefix_by_a_detour_does_not_use_ours() -> None:
    (finding,) = found(told_of_ours((65101, 65000, 65102, 65201)))
    assert finding.name == "announcement-refused"
    assert "10.244.1.0/24 by way of 65101 65000 65102 65201" in finding.evidence


@pytest.mark.parametrize(
    ("as_path", "is_announced"),
    [
        ((65101, 65201), True),
        ((65101, 65201, 65201), True),
        ((65101, 65000, 65102, 65201), False),
    ],
)
def test_what_is_no_detour(as_path: tuple[int, ...], is_announced: bool) -> None:
    assert found(told_of_ours(as_path, is_announced=is_announced)) == ()


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("killed: no sign of life for 4.5 s", "speaker-hung"),
        ("ended by signal SIGSEGV", "speaker-ended"),
    ],
)
def test_an_end_of_the_speaker_is_remembered_for_ten_minutes(reason: str, name: str) -> None:
    bench = healthy()
    bench.step(SpeakerExited(status=-9, reason=reason))
    first = found(bench)[0]
    assert (first.name, reason in first.evidence) == (name, True)
    bench.now += 601
    assert name not in [each.name for each in found(bench)]


def test_who_took_our_routes_is_remembered() -> None:
    bench = healthy()
    for times in (1, 2):
        taken = Intrusion(prefix="10.244.2.0/24", by="networkd, pid 7", times=times)
        bench.kernel.noticed = Noticed(links=False, fib=True, intrusion=taken)
        bench.step()
    (finding,) = found(bench)
    assert finding.name == "routes-removed"
    assert finding.evidence.startswith("3 within ten minutes, last 10.244.2.0/24")
    assert finding.evidence.endswith("by networkd, pid 7")


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        ({"full_disks": {"/run/podroute": "0 bytes"}}, "disk-full"),
        ({"cni_lacks": ["SYS_ADMIN"]}, "capability-missing"),
    ],
)
def test_a_cause_comes_before_what_follows_from_it(seen: dict[str, Any], name: str) -> None:
    bench = healthy()
    bench.agent.problems["node facts"] = "No space left on device"
    agent = facts(bench.agent)
    names = [each.name for each in diagnose(Seen(agent=agent, **seen))]
    assert names == [name, "part-failing"]


def test_the_agents_own_capabilities_and_the_api() -> None:
    api = {"connected": False, "problem": "connection refused"}
    names = [each.name for each in found(healthy(), lacking=["NET_ADMIN"], api=api)]
    assert names == ["capability-missing", "api-away"]
    assert found(healthy(), api={"connected": True, "problem": None}) == ()


def test_a_node_address_that_is_on_no_link() -> None:
    bench = healthy()
    waiting = [["10.255.1.1/32", "no link of this node has the address"]]
    (finding,) = found(bench, waiting=waiting)
    assert finding.name == "node-address-missing"
    assert "10.255.1.1 is not on it" in finding.text
    assert found(bench, waiting=[["10.244.1.0/24", "not yet"]]) == ()


def test_a_tor_that_says_our_prefix_is_unreachable() -> None:
    agent = facts(healthy().agent)
    said = {"tor1": [(OWN, "network unreachable")], "tor9": [(OWN, "x")]}
    (finding,) = diagnose(Seen(agent=agent, refused_there=said))
    assert finding.name == "announcement-refused"
    assert finding.text.startswith("tor1 ")
    assert f'"network unreachable" to a packet for {OWN}' in finding.evidence


def test_both_signs_of_a_filter_are_one_finding() -> None:
    agent = facts(told_of_ours((65101, 65000, 65102, 65201)).agent)
    said = {"tor1": [(OWN, "network unreachable")]}
    (finding,) = diagnose(Seen(agent=agent, refused_there=said))
    assert "by way of" in finding.evidence


def turns(bench: Bench, peer: str) -> list[Any]:
    (found,) = [each for each in facts(bench.agent)["peers"] if each["name"] == peer]
    asked: list[Any] = found["turns"]
    return asked


def test_whom_a_packet_for_our_pods_is_given_to() -> None:
    bench = healthy()
    assert turns(bench, "tor1") == []  # nothing is announced to it yet
    announced = frozenset({Prefix.parse(OWN)})
    for peer in ("tor1", "tor2"):
        bench.step(Sent(peer=PeerId(peer), announced=announced))
    assert turns(bench, "tor1") == [
        {"prefix": OWN, "target": "10.244.1.254", "source": "10.255.1.1"}
    ]
    # No path leads to tor2 itself: it may be a route server.
    assert turns(bench, "tor2") == []


@pytest.mark.parametrize("session", ["up", "down"])
def test_a_link_without_carrier_is_the_cause(session: str) -> None:
    bench = healthy()
    bench.kernel.set_carrier("eth1", carrier=False)
    bench.step(*([] if session == "up" else [down("tor1")]))
    (finding,) = found(bench)
    assert finding.name == "link-down"
    assert finding.text == "the link eth1 to tor1 is down"
    assert "no carrier" in finding.evidence
