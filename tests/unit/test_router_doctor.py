"""`podroute doctor`: the true cause by name, and nothing on a healthy node."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from bgp.event import Connected, Direction, Notified, SessionDown, Updated
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.session_words import NO_OPEN
from router.agent.facts import facts
from router.cli.doctor import render
from router.reconcile.diagnosis import Seen, diagnose
from router.reconcile.firewall import dropping
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, establishing, update

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/eth1/rp_filter": "2",
    "net/ipv4/conf/eth2/rp_filter": "0",
}
REFUSED = {"peer": PeerId("tor1"), "direction": Direction.RECEIVED, "text": ""}


def healthy(config: str = CONFIG) -> Bench:
    bench = Bench(config=config)
    bench.establish("tor1", "tor2", restart_time_s=120)
    bench.step(update("tor1", "10.244.2.0/24"))
    return bench


def seen(bench: Bench, **changes: Any) -> Seen:
    return replace(Seen(agent=facts(bench.agent), sysctls=SYSCTLS), **changes)


def names(what: Seen) -> list[str]:
    return [finding.name for finding in diagnose(what)]


def test_nothing_on_a_healthy_node() -> None:
    assert diagnose(seen(healthy())) == ()
    assert render(()) == "nothing found"


@pytest.mark.parametrize(
    ("changes", "name", "evidence"),
    [
        ({"agent": None, "agent_problem": "no socket"}, "agent-away", "no socket"),
        ({"cni_problem": "refused"}, "cni-away", "refused"),
        ({"node_facts": False}, "node-facts-missing", "node.json"),
        ({"dropping": ["ip filter FORWARD"]}, "forward-drop", "ip filter FORWARD has policy drop"),
        ({"before_ours": ["00-other.conf"]}, "conflist-shadowed", "00-other.conf comes before"),
        (
            {"full_pools": [("10.244.1.0/24", 254)]},
            "pool-exhausted",
            "all 254 usable addresses of 10.244.1.0/24",
        ),
        ({"small_mtu": {"tor2": 9000}}, "tor-mtu-smaller", "none of 9000 bytes"),
        (
            {"sysctls": SYSCTLS | {"net/ipv4/ip_forward": "0"}},
            "forwarding-off",
            "net/ipv4/ip_forward = 0",
        ),
        (
            {"sysctls": SYSCTLS | {"net/ipv4/conf/eth1/rp_filter": "1"}},
            "rp-filter-strict",
            "eth1/rp_filter is 1",
        ),
        (
            {"sysctls": SYSCTLS | {"net/ipv4/conf/all/rp_filter": "1"}},
            "rp-filter-strict",
            "eth2/rp_filter is 1",
        ),
    ],
)
def test_the_node(changes: dict[str, Any], name: str, evidence: str) -> None:
    (finding,) = diagnose(seen(healthy(), **changes))
    assert finding.name == name
    assert evidence in finding.evidence
    assert finding.fix


@pytest.mark.parametrize(
    "change",
    [
        {"net/ipv4/conf/eth1/rp_filter": "1", "net/ipv4/conf/all/rp_filter": "2"},
        {"net/ipv6/conf/all/forwarding": "0"},  # a node without IPv6 pods
        {"net/ipv4/conf/eth9/rp_filter": "1"},  # no uplink
    ],
)
def test_what_only_looks_wrong(change: dict[str, str]) -> None:
    assert names(seen(healthy(), sysctls=SYSCTLS | change)) == []


@pytest.mark.parametrize(
    ("code", "subcode", "name"),
    [
        (2, 2, "peer-asn"),
        (2, 3, "peer-router-id"),
        (2, 6, "peer-hold-time"),
        (6, 2, "peer-shut-there"),
        (6, 3, "peer-unknown-there"),
        (6, 5, "peer-rejected"),
    ],
)
@pytest.mark.parametrize("silent_since", [False, True])
def test_a_refusal_by_its_notification(
    code: int, subcode: int, name: str, silent_since: bool
) -> None:
    bench = healthy()
    bench.step(down("tor1"))
    bench.step(
        Connected(peer=PeerId("tor1")),
        Notified(code=code, subcode=subcode, **REFUSED),
        SessionDown(peer=PeerId("tor1"), reason=f"notification received ({code},{subcode})"),
    )
    if silent_since:
        bench.step(
            Connected(peer=PeerId("tor1")),
            SessionDown(peer=PeerId("tor1"), reason="closing connection"),
        )
        assert bench.agent.sessions.all[0][1].last_attempt == NO_OPEN
    (finding,) = diagnose(seen(bench))
    assert (finding.name, "tor1" in finding.text) == (name, True)
    assert f"({code}/{subcode})" in finding.evidence


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("", "does it want an MD5 password"),
        (", password_file: /x", "is the MD5 password the same"),
        (", ttl_security: true", "does it send with TTL 255"),
    ],
)
def test_silence_names_what_can_be_its_cause(extra: str, words: str) -> None:
    bench = Bench(config=CONFIG.replace("65102}", f"65102{extra}}}"))
    bench.establish("tor1", restart_time_s=120)
    (finding,) = diagnose(seen(bench))
    assert finding.name == "peer-silent"
    assert "10.0.2.2 port 179" in finding.fix
    assert words in finding.fix
    # What is configured comes first, what is not comes last.
    assert finding.fix.startswith(words) == bool(extra)


def test_a_peer_too_far_away() -> None:
    far = CONFIG.replace("10.0.2.2", "10.9.9.9")
    bench = Bench(config=far)
    bench.establish("tor1", restart_time_s=120)
    assert names(seen(bench)) == ["peer-not-connected"]
    bench = Bench(config=far.replace("65102}", "65102, multihop_ttl: 3}"))
    bench.establish("tor1", restart_time_s=120)
    assert names(seen(bench)) == ["peer-silent"]


def test_a_shutdown_is_wanted() -> None:
    bench = Bench(config=CONFIG.replace("65102}", "65102, shutdown: true}"))
    bench.establish("tor1", restart_time_s=120)
    assert names(seen(bench)) == []


def test_a_tor_without_graceful_restart() -> None:
    bench = Bench()
    bench.establish("tor1", restart_time_s=120)
    bench.step(*establishing("tor2"))
    assert names(seen(bench)) == ["no-graceful-restart"]
    bench = Bench(config=CONFIG + "graceful_restart_s: 0\n")
    bench.establish("tor1", "tor2")
    assert names(seen(bench)) == []


def test_another_node_with_our_pod_cidr() -> None:
    bench = healthy()
    bench.step(update("tor1", "10.244.1.0/24"))
    (finding,) = diagnose(seen(bench))
    assert finding.name == "pod-cidr-duplicate"
    assert finding.evidence == "tor1 passes it on from AS 65202"


@pytest.mark.parametrize(
    "path", [(65101, 65201), pytest.param((65101, 65101), id="as-override on the ToR")]
)
def test_our_own_announcement_that_comes_back_is_no_duplicate(path: tuple[int, ...]) -> None:
    bench = healthy()
    (change,) = update("tor1", "10.244.1.0/24").changes
    assert change.attributes is not None
    attributes = type(change.attributes)(next_hop=change.attributes.next_hop, as_path=path)
    bench.step(Updated(peer=PeerId("tor1"), changes=(change._replace(attributes=attributes),)))
    assert names(seen(bench)) == []


def test_nodes_that_share_an_as_behind_external_tors() -> None:
    bench = healthy()
    (change,) = update("tor1", "10.244.5.0/24").changes
    assert change.attributes is not None
    shared = type(change.attributes)(next_hop=change.attributes.next_hop, as_path=(65101, 65201))
    bench.step(Updated(peer=PeerId("tor1"), changes=(change._replace(attributes=shared),)))
    (finding,) = diagnose(seen(bench))
    assert finding.name == "as-loop"
    assert "10.244.5.0/24 among them: own ASN in AS path (65201" in finding.evidence


def test_bfd_that_is_down() -> None:
    bench = healthy(CONFIG.replace("65102}", "65102, bfd: {}}"))
    (finding,) = diagnose(seen(bench))
    assert finding.name == "bfd-down"
    assert finding.text == "BFD does not watch the path to tor2"


def test_a_foreign_route() -> None:
    bench = healthy()
    bench.kernel.foreign.add(Prefix.parse("10.244.3.0/24"))
    bench.step(update("tor1", "10.244.3.0/24"))
    assert names(seen(bench)) == ["route-refused"]


def chain(policy: str = "drop", hook: str = "forward") -> dict[str, Any]:
    return {
        "chain": {
            "family": "ip",
            "table": "filter",
            "name": "FORWARD",
            "hook": hook,
            "policy": policy,
        }
    }


def rule(*expressions: Any, table: str = "filter") -> dict[str, Any]:
    return {"rule": {"family": "ip", "table": table, "chain": "X", "expr": list(expressions)}}


def match(right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"payload": {"field": "saddr"}}, "right": right}}


PODS = {"prefix": {"addr": "10.244.0.0", "len": 16}}
OTHER = {"prefix": {"addr": "172.17.0.0", "len": 16}}


@pytest.mark.parametrize(
    ("items", "is_dropping"),
    [
        ([chain()], True),
        ([chain(policy="accept")], False),
        ([chain(hook="input")], False),
        ([chain(), rule({"accept": None})], False),
        ([chain(), rule({"accept": None}, table="nat")], True),
        ([chain(), rule({"drop": None})], True),
        ([chain(), rule(match(PODS), {"accept": None})], False),
        ([chain(), rule(match({"set": [OTHER, PODS]}), {"accept": None})], False),
        ([chain(), rule(match(OTHER), {"accept": None})], True),
        ([chain(), rule(match("docker0"), {"accept": None})], True),
        ([{"metainfo": {}}, {"table": {}}], False),
    ],
)
def test_a_policy_that_drops(items: list[Any], is_dropping: bool) -> None:
    pods = [ip_network("10.244.1.0/24"), ip_network("fd00::/64")]
    assert dropping(items, pods) == (["ip filter FORWARD"] if is_dropping else [])
