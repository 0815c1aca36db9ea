"""Whatever the API sends becomes a view or one error; our own forms survive the round trip."""

from __future__ import annotations

import contextlib
import copy
import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.nlri import Prefix
from bgp.secret import Secret
from containerlab.fakeapi import objects
from router.kube import convert, memory, service_convert
from router.kube.errors import MalformedError
from router.model.node import SecretRef, Taint
from router.model.service import Key, Serving

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(
    scalars, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=20
)
KEYS = (
    "metadata", "name", "uid", "labels", "annotations", "resourceVersion", "spec", "podCIDR",
    "podCIDRs", "taints", "key", "effect", "status", "conditions", "type", "addresses", "address",
    "data", "items", "object", "loadBalancer", "ingress", "ip", "ipMode", "externalIPs",
    "clusterIPs", "clusterIP", "endpoints", "ready", "serving", "terminating", "addressType",
    "nodeName", "kubernetes.io/service-name",
)  # fmt: skip
WORDS = (
    "InternalIP",
    "10.0.0.1",
    "10.244.1.0/24",
    "fd00::/64",
    "10.0.0.1/8",
    "fe80::1%eth0",
    "x",
    "IPv4",
)
near = st.recursive(
    scalars | st.sampled_from(WORDS),
    lambda below: st.lists(below) | st.dictionaries(st.sampled_from(KEYS), below),
    max_leaves=30,
)


def whole_node() -> dict[str, Any]:
    made = objects.node(
        "node1",
        pod_cidrs=("10.244.1.0/24", "fd00:244:1::/64"),
        addresses=("10.0.0.1", "fd00::1"),
        labels={"rack": "r1"},
        taints=({"key": "a/b", "effect": "NoSchedule"},),
    )
    made["metadata"] |= {"uid": "u", "resourceVersion": "5"}
    return made


def test_a_node_becomes_a_view() -> None:
    view = convert.node_view(whole_node())
    assert (view.name, view.uid, view.resource_version) == ("node1", "u", "5")
    assert view.pod_cidrs == (Prefix.parse("10.244.1.0/24"), Prefix.parse("fd00:244:1::/64"))
    assert view.addresses == (ip_address("10.0.0.1"), ip_address("fd00::1"))
    assert view.labels["rack"] == "r1"
    assert view.taints == (Taint("a/b", "", "NoSchedule"),)
    assert view.problems == ()


def test_bad_parts_are_named_and_the_rest_is_used() -> None:
    made = whole_node()
    made["spec"]["podCIDRs"] = ["10.244.1.1/24", "fd00:244:1::/64", 7, "fd00:9::/64"]
    made["status"]["addresses"].append({"type": "InternalIP", "address": "localhost"})
    view = convert.node_view(made)
    assert view.pod_cidrs == (Prefix.parse("fd00:244:1::/64"),)
    assert len(view.problems) == 4


def test_heartbeats_make_no_difference() -> None:
    made, later = whole_node(), whole_node()
    later["metadata"]["resourceVersion"] = "6"
    later["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:00:00Z"
    assert convert.node_view(made) == convert.node_view(later)


@given(anything | near)
def test_no_shape_of_an_object_raises_anything_else(value: Any) -> None:
    found = value if isinstance(value, dict) else {"metadata": value, "spec": value}
    for read in (
        convert.node_view,
        convert.config_map_view,
        convert.secret_values,
        convert.items_of,
        convert.resource_version,
    ):
        with contextlib.suppress(MalformedError):
            read(found)


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=4), near)
def test_a_node_with_parts_replaced_never_raises_anything_else(
    places: list[tuple[str, str]], value: Any
) -> None:
    made = copy.deepcopy(whole_node())
    for upper, lower in places:
        if isinstance(made.get(upper), dict):
            made[upper][lower] = value
    with contextlib.suppress(MalformedError):
        convert.node_view(made)


@given(st.binary() | near.map(lambda value: json.dumps(value).encode()))
def test_no_line_of_a_watch_raises_anything_else(line: bytes) -> None:
    with contextlib.suppress(MalformedError):
        convert.parse_watch_line(line)


@given(st.binary() | near.map(lambda value: json.dumps(value).encode()))
def test_no_file_content_breaks_the_memory(content: bytes) -> None:
    memory.parse(content)


@given(st.dictionaries(st.tuples(st.text(), st.text()), st.binary(min_size=1, max_size=80)))
def test_what_is_remembered_is_what_was_known(values: dict[tuple[str, str], bytes]) -> None:
    secrets = {SecretRef(*ref): Secret(value) for ref, value in values.items()}
    remembered = memory.Remembered(node=whole_node(), secrets=secrets)
    found = memory.parse(memory.render(remembered))
    assert found.secrets == secrets
    assert found.node is not None
    known, before = convert.node_view(found.node), convert.node_view(whole_node())
    assert (known.pod_cidrs, known.addresses, known.labels) == (
        before.pod_cidrs,
        before.addresses,
        before.labels,
    )


@given(near)
def test_any_service_and_any_slice_becomes_a_view(raw: Any) -> None:
    if not isinstance(raw, dict):
        return
    key = Key("a", "b")
    view = service_convert.service_view(key, raw)
    assert view.key == key
    assert set(view.proxied) <= set(view.load_balancer)
    of_slice = service_convert.slice_view(key, raw, "IPv4")
    assert of_slice is None or of_slice.service.namespace == "a"


@pytest.mark.parametrize(
    ("conditions", "serving"),
    [
        ({}, Serving.READY),
        ({"ready": None}, Serving.READY),
        ({"ready": True}, Serving.READY),
        ({"ready": False}, Serving(0)),
        ({"ready": False, "serving": True}, Serving(0)),
        ({"ready": False, "serving": True, "terminating": True}, Serving.LEAVING),
        ({"ready": False, "serving": False, "terminating": True}, Serving(0)),
        ({"ready": False, "terminating": True}, Serving(0)),
        ({"ready": True, "terminating": True}, Serving.LEAVING),
    ],
)
@pytest.mark.parametrize("is_here", [False, True])
def test_conditions_of_an_endpoint(
    conditions: dict[str, Any], serving: Serving, is_here: bool
) -> None:
    made = objects.endpoint_slice("b", "web", [{"conditions": conditions, "nodeName": "n"}])
    view = service_convert.slice_view(Key("a", "b"), made, "n" if is_here else "other")
    assert view is not None
    here = {Serving.READY: Serving.READY_HERE, Serving.LEAVING: Serving.LEAVING_HERE}
    assert view.serving == (serving | here.get(serving, 0) if is_here else serving)


def test_what_is_no_address_of_a_service() -> None:
    key = Key("a", "b")
    headless = {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}
    assert service_convert.service_view(key, headless).cluster == ()
    made = objects.service("b", ingress=("203.0.113.1",))
    assert service_convert.service_view(key, made).load_balancer == (ip_address("203.0.113.1"),)
    made["spec"]["type"] = "ClusterIP"
    assert service_convert.service_view(key, made).load_balancer == ()
    alias = {"spec": {"type": "ExternalName", "externalIPs": ["203.0.113.1"]}}
    assert service_convert.service_view(key, alias).external == ()
