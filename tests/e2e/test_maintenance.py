"""Maintenance in a cluster, with packets counted: the scenes of `./dev bench kubernetes`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.tor import RouteWatch
from containerlab.measure.check import render_table
from router.kube.clock import wall_time as utc_now
from tests.bench.kubernetes_maintenance import check_maintenance
from tests.support.kube_fabric import KubeFabric, kube_fabric
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("openssl", "nft"),
    pytest.mark.timeout(240),
]


def test_drains_and_duplicates_lose_nothing_and_their_controls_do() -> None:
    checks = check_maintenance()
    assert {check.name for check in checks} == {
        "drain_lost",
        "control_lost",
        "duplicate_cidr_disturbance",
        "duplicate_control_lost",
    }
    wrong = [check for check in checks if not check.ok]
    assert not wrong, f"{render_table(checks)}\n{[(c.name, c.faults, c.samples) for c in wrong]}"


GONE = "our Node object was deleted"


@pytest.fixture(scope="module")
def scene() -> Iterator[KubeFabric]:
    with kube_fabric() as made:
        for host in made.fabric.hosts[:2]:
            host.cni.start()
        yield made


def test_an_elder_that_comes_second_is_heard_whatever_the_tors_prefer(scene: KubeFabric) -> None:
    """The younger announces first, and is the ToRs' best path: nobody tells it of the other's."""
    one, two, _ = scene.fabric.hosts
    cidrs = [*map(str, one.pod_cidrs)]
    scene.register(one)
    made = scene.api.node("node1")["metadata"]["creationTimestamp"]
    wait_until(lambda: utc_now() > made, deadline_s=5, what="another second")
    scene.register(two, cidrs)
    scene.start_agent(two, services=False)
    scene.wait_ways(cidrs, ("node2",), 30)
    scene.start_agent(one, services=False)
    scene.wait_claims(two, "yielded", cidrs)
    scene.wait_ways(cidrs, ("node1",), 10)
    scene.wait_claims(one, "clear", cidrs)
    halves = ["10.244.1.0/25", "10.244.1.128/25", "fd00:244:1::/65", "fd00:244:1:0:8000::/65"]
    scene.wait_ways(halves, (), 10)
    wrong = scene.status(two)["readiness"]["wrong"]
    assert "not announced here" in wrong, "and not ready after the usual grace time"
    assert "is not announced: Node node1 has it, too" in two.podroute("status")


def test_the_younger_with_another_cidr_announces_it(scene: KubeFabric) -> None:
    one, two, _ = scene.fabric.hosts
    theirs = [*map(str, two.pod_cidrs)]
    scene.delete_node("node2")
    scene.register(two)
    scene.wait_ways(theirs, ("node2",), 20)
    scene.wait_claims(two, "clear", theirs)
    scene.wait_ways([*map(str, one.pod_cidrs)], ("node1",), 5)


def test_a_drain_at_the_node_is_told_and_can_be_set_aside(scene: KubeFabric) -> None:
    two = scene.host("node2")
    own = [*map(str, two.pod_cidrs)]
    scene.api.merge("/api/v1/nodes/node2", {"spec": {"unschedulable": True}})
    scene.annotate(two, drain="true", drain_wait="0")
    scene.wait_phase(two, "drained")
    scene.wait_ways(own, (), 5)
    scene.wait_ways(["10.255.1.2/32", "fd00:255:1::2/128"], ("node2",), 5)
    what = "annotation podroute.dev/drain of the Node"
    assert f"ordered by {what}" in two.podroute("status")
    assert f"already ordered by {what}" in two.podroute("drain", "--dry-run")
    refused = two.node.run([PODROUTE, "undrain"], check=False)
    assert refused.returncode == 1
    assert f"stays drained: {what} orders it" in refused.stdout
    scene.delete_node("node2")
    scene.wait_reasons(two, GONE)
    scene.wait_ways(own, (), 1)
    two.podroute("undrain", "--override")
    scene.wait_ways(own, ("node2",), 10)
    scene.register(two)
    scene.wait_reasons(two, "set it aside", told=False)
    scene.annotate(two, drain="true", drain_wait="0")
    scene.wait_phase(two, "drained")
    scene.annotate(two, drain=None, drain_wait=None)
    scene.wait_ways(own, ("node2",), 10)


def test_a_cordon_and_a_deleted_node_move_no_traffic(scene: KubeFabric) -> None:
    two = scene.host("node2")
    own = [*map(str, two.pod_cidrs)]
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    spec = {"unschedulable": True, "taints": [cordon]}
    with RouteWatch(scene.fabric.tors[0]) as watch:
        scene.api.merge("/api/v1/nodes/node2", {"spec": spec})
        scene.api.request("DELETE", "/api/v1/nodes/node2")

        scene.wait_reasons(two, GONE)
        scene.wait_ways(own, ("node2",), 1)
        assert [watch.removed(ip_network(cidr)) for cidr in own] == [None, None]
    assert scene.status(two)["drain"]["phase"] == "none"
