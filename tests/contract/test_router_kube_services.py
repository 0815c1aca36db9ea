"""Services and EndpointSlices over real connections: watched when wanted, and cheaply."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from router.kube.cluster import Cluster
from router.kube.services import SERVICES, SLICES
from router.kube.view import ClusterView
from router.model.service import Key, Serving
from tests.support.kube_agent import Start, connected, wait_view
from tests.support.wait import NotYetError, wait_until

WEB = Key("shop", "web")


def put_web(api: FakeApi, *, node: str = "node1") -> None:
    made = objects.service("web", ingress=("203.0.113.1",))
    api.put("services", made, namespace="shop")
    endpoints = [objects.endpoint("10.244.1.2", node)]
    api.put("endpointslices", objects.endpoint_slice("web-1", "web", endpoints), namespace="shop")


def asked(api: FakeApi) -> list[str]:
    paths = (SERVICES, SLICES)
    return sorted(f"{r.verb} {r.path}" for r in api.requests() if r.path in paths)


def known(cluster: Cluster) -> ClusterView:
    cluster.want_services(True)
    return wait_view(cluster, "Services", lambda v: v.services.is_known and v.connected)


def serving(view: ClusterView, key: Key = WEB) -> Serving:
    facts = view.services.found.get(key)
    return facts.endpoints[4] if facts is not None else Serving(0)


def test_nothing_is_watched_until_it_is_wanted_and_nothing_once_it_is_not(
    api: FakeApi, start: Start
) -> None:
    put_web(api)
    cluster = start()
    before = connected(cluster)
    assert asked(api) == []
    assert not before.services.is_known
    view = known(cluster)
    assert [str(a) for a in view.services.found[WEB].service.load_balancer] == ["203.0.113.1"]
    assert serving(view) == Serving.READY_HERE | Serving.READY
    lists_and_watches = [
        f"{verb} {path}" for verb in ("list", "watch") for path in (SERVICES, SLICES)
    ]
    assert asked(api) == sorted(lists_and_watches)
    cluster.want_services(True)
    cluster.want_services(False)
    wait_view(cluster, "nothing", lambda v: not v.services.is_known and not v.services.found)
    api.patch("services", "web", {"metadata": {"labels": {"a": "b"}}}, namespace="shop")

    def closed() -> bool:
        if api.open_watches() > 2:
            raise NotYetError(api.open_watches())
        return True

    wait_until(closed, deadline_s=10, what="the watches of Services are closed")
    assert cluster.take().connected
    assert known(cluster).services.found[WEB].service.labels == {"a": "b"}


def test_one_change_is_one_new_view_and_leaves_the_others_the_same(
    api: FakeApi, start: Start
) -> None:
    put_web(api)
    api.put("services", objects.service("other"), namespace="shop")
    cluster = start()
    before = known(cluster)
    ends = {"endpoints": [objects.endpoint("10.244.1.2", "node1", terminating=True)]}
    api.patch("endpointslices", "web-1", ends, namespace="shop")
    view = wait_view(cluster, "leaving", lambda v: serving(v) != serving(before))
    assert serving(view) == Serving.LEAVING_HERE | Serving.LEAVING
    other = Key("shop", "other")
    assert view.services.found[other] is before.services.found[other]
    # What concerns nobody wakes nobody: the slice has the same answers as before.
    again = {"endpoints": [objects.endpoint("10.244.1.9", "node1", terminating=True)]}
    api.patch("endpointslices", "web-1", again, namespace="shop")
    api.patch("services", "other", {"metadata": {"labels": {"a": "b"}}}, namespace="shop")
    after = wait_view(cluster, "label", lambda v: v.services.found[other].service.labels)
    assert after.services.found[WEB] is view.services.found[WEB]
    api.delete("endpointslices", "web-1", namespace="shop")
    wait_view(cluster, "no endpoint", lambda v: serving(v) == Serving(0))
    api.delete("services", "web", namespace="shop")
    wait_view(cluster, "no Service", lambda v: WEB not in v.services.found)


def test_many_come_in_pages_and_a_large_slice_in_one_line(api: FakeApi, start: Start) -> None:
    for index in range(1101):
        api.put("services", objects.service(f"s{index}"), namespace="shop")
    cluster = start()
    view = known(cluster)
    assert len(view.services.found) == 1101
    assert len(api.requests("list", path=SERVICES)) == 3
    many = [objects.endpoint(f"10.244.{i // 250}.{i % 250}", f"node{i}") for i in range(1000)]
    for index, one in enumerate(many):
        pod = {"kind": "Pod", "name": f"web-{index:032}", "namespace": "shop", "uid": "u" * 36}
        one["targetRef"] = pod
    made = objects.endpoint_slice("large", "s7", many)
    api.put("endpointslices", made, namespace="shop")
    seven = Key("shop", "s7")
    wait_view(cluster, "the large one", lambda v: serving(v, seven) & Serving.READY_HERE)
    assert len(api.requests("watch", path=SLICES)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 503}, id="503"),
        pytest.param({"action": "status", "status": 410}, id="410"),
        pytest.param({"action": "reset"}, id="reset"),
        pytest.param({"action": "garbage"}, id="garbage"),
    ],
)
def test_a_fault_drops_nothing_and_what_went_meanwhile_goes(
    api: FakeApi, start: Start, fault: dict[str, object]
) -> None:
    put_web(api)
    api.put("services", objects.service("gone"), namespace="shop")
    cluster = start()
    before = known(cluster)
    api.fail(**fault)
    api.cut()
    view = wait_view(cluster, "the problem", lambda v: not v.connected and v.problem)
    assert view.services == before.services
    assert isinstance(view.services.found, MappingProxyType)
    api.delete("services", "gone", namespace="shop")
    api.delete("endpointslices", "web-1", namespace="shop")
    api.compact()
    api.faults.clear()
    view = wait_view(cluster, "it is gone", lambda v: Key("shop", "gone") not in v.services.found)
    wait_view(cluster, "endpoint gone", lambda v: serving(v) == Serving(0))
    assert WEB in view.services.found


def test_odd_objects_stop_nothing(api: FakeApi, start: Start) -> None:
    cluster = start()
    known(cluster)
    odd = {
        "metadata": {"name": "odd", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [7, {"conditions": []}, {"conditions": {"ready": "yes"}, "nodeName": 1}],
    }
    api.put("endpointslices", odd, namespace="shop")
    strange = {"metadata": {"name": "strange"}, "spec": {"externalIPs": ["x", 1, None, "::%1"]}}
    api.put("services", strange, namespace="shop")
    put_web(api)
    view = wait_view(cluster, "the good one", lambda v: serving(v) & Serving.READY_HERE)
    assert view.services.found[Key("shop", "strange")].service.external == ()
    assert view.connected
