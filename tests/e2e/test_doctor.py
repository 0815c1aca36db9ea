"""`podroute doctor` on dual-tor: nothing on healthy nodes, the true cause first on broken ones.

`./dev bench operators` tries all twenty situations, one after the other, and times them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from containerlab.demo.fabric import wait_for
from containerlab.situations.peers import rejecting
from containerlab.situations.scene import CONF_DIR, NAMED_S, RUN_DIR, START, Scene
from containerlab.situations.situation import Situation
from containerlab.situations.table import SITUATIONS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("iptables", "nft", "ping"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene.up() as made:
        yield made


def wait_found(scene: Scene, *expected: str, evidence: str = "") -> list[Any]:
    found: list[Any] = []

    def look() -> str:
        found[:] = scene.doctor(scene.hosts[0])[0]
        names = sorted(each["name"] for each in found)
        named = names == sorted(expected)
        return "" if named and any(evidence in each["evidence"] for each in found) else str(found)

    wait_for(look, deadline_s=NAMED_S, what=f"findings {expected}")
    return found


def test_there_are_twenty_situations_each_with_a_judge() -> None:
    assert len({each.name for each in SITUATIONS}) == 20
    for each in SITUATIONS:
        assert each.words
        good = {"name": each.finding, "text": " ".join(each.words), "evidence": "", "fix": "so"}
        assert each.why_not([good]) == ""
        assert each.why_not([]) == "nothing found"
        assert each.why_not([{**good, "name": "other"}, good])
        assert each.why_not([{**good, "text": ""}])
        assert each.why_not([{**good, "fix": ""}])


def test_nothing_on_healthy_nodes(scene: Scene) -> None:
    scene.wait_healthy()
    for host in scene.hosts:
        said = host.podroute("doctor", "--conf-dir", CONF_DIR)
        assert said == "nothing found\n"


def each_situation() -> list[Any]:
    slow = [pytest.mark.slow]
    return [pytest.param(s, id=s.name, marks=[] if s.fast else slow) for s in SITUATIONS]


@pytest.mark.parametrize("situation", each_situation())
def test_the_cause_is_named_first(scene: Scene, situation: Situation) -> None:
    host = scene.hosts[situation.host]
    scene.wait_healthy(host)
    with situation.apply(scene):
        scene.named_after_s(situation)
    scene.wait_healthy(host)


@pytest.mark.slow
def test_one_tor_of_two_that_rejects_us_has_our_prefix_by_a_detour(scene: Scene) -> None:
    scene.wait_healthy(scene.hosts[0])
    with rejecting(1)(scene):
        # Until it has heard of the detour, the ToR says that the network is unreachable.
        detour = "10.244.1.0/24 by way of 65101 65000 65102 65201"
        (found,) = wait_found(scene, "announcement-refused", evidence=detour)
        assert "tor1-v4" in found["text"]
    scene.wait_healthy(scene.hosts[0])


def test_a_cut_cable(scene: Scene) -> None:
    host = scene.hosts[0]
    scene.wait_healthy(host)
    scene.tors[0].node.interface("eth1").down()
    try:
        found = wait_found(scene, "link-down")
        assert "the link eth1 to tor1-v4, tor1-v6 is down" in found[0]["text"]
    finally:
        scene.tors[0].node.interface("eth1").up()
    scene.wait_healthy(host)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["10.9.9.9", "10.0.1.4"])
def test_a_peer_on_no_connected_network(scene: Scene, address: str) -> None:
    scene.write_config(scene.hosts[0], peers=scene.peers(address=address))
    (found,) = wait_found(scene, "peer-not-connected")
    assert "multihop_ttl" in found["fix"]
    assert "tor1-v4" in found["text"]
    scene.write_config(scene.hosts[0])
    scene.wait_healthy(scene.hosts[0])


@pytest.mark.slow
def test_a_port_where_nobody_listens(scene: Scene) -> None:
    scene.write_config(scene.hosts[0], peers=scene.peers(port=1790))
    (found,) = wait_found(scene, "peer-not-listening")
    assert "10.0.1.2 port 1790" in found["text"]
    scene.write_config(scene.hosts[0])
    scene.wait_healthy(scene.hosts[0])


def test_daemons_that_are_away(scene: Scene) -> None:
    host = scene.hosts[0]
    scene.wait_healthy(host)
    host.cni.terminate()
    assert [each["name"] for each in scene.doctor(host)[0]] == ["cni-away"]
    host.cni.start()
    host.agent.terminate()
    host.node.run(["rm", f"{RUN_DIR}/node.json"])
    wait_found(scene, "agent-away", "node-facts-missing")
    host.agent.start(*START)
    scene.wait_healthy(host)
