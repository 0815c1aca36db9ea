"""Configuration objects and BGPNodeStatus over real connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from containerlab.fakeapi.server import FakeApi
from router.config.crd import definitions
from router.kube.view import ClusterView
from router.reconcile.node_report import Report, Said
from tests.support.kube_agent import Start, connected, wait_view
from tests.support.wait import wait_until

SPEC = {"local_asn": 65201, "cluster": {"pod_prefixes": ["10.244.0.0/16"]}}
REPORT = Report(status={"node": "node1"}, conditions=(Said("Ready", "True", "PodrouteReady"),))


def install(api: FakeApi) -> None:
    for crd in definitions():
        api.put("customresourcedefinitions", crd)


def put(api: FakeApi, plural: str, name: str, **spec: Any) -> None:
    api.put(plural, {"metadata": {"name": name}, "spec": spec})


def names(view: ClusterView) -> list[str] | None:
    return None if view.objects.value is None else [str(each) for each in view.objects.value]


def test_without_the_resources_there_are_none_and_nothing_is_wrong(
    api: FakeApi, start: Start
) -> None:
    cluster = start(objects=True)
    view = wait_view(cluster, "no objects", lambda v: v.connected and v.objects.value == ())
    assert view.problem == ""
    cluster.want_report(REPORT)
    wait_until(
        lambda: api.requests("create", path="bgpnodestatuses"), deadline_s=10, what="one try"
    )
    assert view.status_problem == ""
    assert [r.code for r in api.requests(path="podnetworks")] == [404]


def test_objects_arrive_are_followed_and_remembered(
    api: FakeApi, start: Start, tmp_path: Path
) -> None:
    install(api)
    put(api, "podnetworks", "default", **SPEC)
    put(api, "bgppeers", "tor1", address="10.0.1.2", remote_asn=65101)
    memory = tmp_path / "api.json"
    cluster = start(objects=True, memory=memory)
    wait_view(cluster, "both", lambda v: names(v) == ["BGPPeer tor1", "PodNetwork default"])
    view = connected(cluster)
    put(api, "bgpadvertisements", "pods", pod_cidrs=True)
    api.delete("bgppeers", "tor1")
    wait_view(
        cluster, "the change", lambda v: names(v) == ["BGPAdvertisement pods", "PodNetwork default"]
    )
    assert {(r.verb, r.code) for r in api.requests(path="bgppeers")} == {
        ("list", 200),
        ("watch", 200),
    }
    cluster.close()
    api.down()
    restarted = start(objects=True, memory=memory).take()
    assert names(restarted) == ["BGPAdvertisement pods", "PodNetwork default"]
    assert restarted.config_map.value == view.config_map.value


def test_a_compacted_history_is_listed_anew(api: FakeApi, start: Start) -> None:
    install(api)
    put(api, "podnetworks", "default", **SPEC)
    cluster = start(objects=True)
    wait_view(cluster, "it", lambda v: names(v) == ["PodNetwork default"])
    connected(cluster)
    api.down()
    api.delete("podnetworks", "default")
    api.compact()
    api.up()
    wait_view(cluster, "its end", lambda v: names(v) == [])


def test_resources_that_are_taken_away_leave_no_objects_and_no_complaint(
    api: FakeApi, start: Start
) -> None:
    install(api)
    put(api, "podnetworks", "default", **SPEC)
    cluster = start(objects=True)
    wait_view(cluster, "it", lambda v: names(v) == ["PodNetwork default"])
    for crd in definitions():
        api.delete("customresourcedefinitions", crd["metadata"]["name"])
    api.cut()
    wait_view(cluster, "nothing", lambda v: names(v) == [] and v.connected and not v.problem)


def test_the_report_becomes_an_object_of_the_node(api: FakeApi, start: Start) -> None:
    install(api)
    cluster = start()
    cluster.want_report(REPORT)
    wait_until(
        lambda: [r for r in api.requests("patch", path="bgpnodestatuses") if r.code == 200],
        deadline_s=10,
        what="the write",
    )
    found = api.get("bgpnodestatuses", "node1")
    assert found["status"]["node"] == "node1"
    uid = api.get("nodes", "node1")["metadata"]["uid"]
    assert [owner["uid"] for owner in found["metadata"]["ownerReferences"]] == [uid]
    wait_view(cluster, "count", lambda v: v.status_writes == 2)
