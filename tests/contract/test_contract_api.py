"""What the agent relies on of an API server; holds for the fake one and for any real one.

`PODROUTE_TEST_KUBECONFIG=/path pytest tests/contract/test_contract_api.py` runs it against the
cluster of that kubeconfig; whoever it names must be allowed to make namespaces and Nodes.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace

import pytest

from router.kube.client import JSON_PATCH, STRATEGIC_PATCH
from router.kube.convert import claim, config_map_view, items_of, node_view, resource_version
from router.kube.errors import RefusedError
from router.kube.event import Note, event
from router.reconcile.node_status import (
    CONDITION,
    TAINT_KEY,
    Patch,
    StatusSettings,
    plan_status,
    plan_status_removal,
)
from router.reconcile.readiness import ReadinessSettings, Signs, first_verdict, judge
from tests.support.contract_api import ContractApi

AT = "2026-01-02T03:04:05Z"


def node_name() -> str:
    return f"podroute-contract-{uuid.uuid4().hex[:8]}"


def refused(contract: ContractApi, status: int, method: str, path: str, **rest: object) -> None:
    with pytest.raises(RefusedError) as caught:
        contract.ask(method, path, **rest)  # type: ignore[arg-type]
    assert caught.value.status == status, caught.value


def test_a_list_by_name_has_one_object_and_a_version(contract: ContractApi) -> None:
    contract.make_config_map("one", key="1")
    contract.make_config_map("two", key="2")
    answer = contract.get(contract.config_maps, fieldSelector="metadata.name=one")
    (found,) = items_of(answer)
    assert config_map_view(found).data == {"key": "1"}
    assert resource_version(answer)
    cached = contract.get(
        contract.config_maps, fieldSelector="metadata.name=one", resourceVersion="0"
    )
    assert len(items_of(cached)) <= 1
    none = contract.get(contract.config_maps, fieldSelector="metadata.name=none")
    assert items_of(none) == ()


def test_an_unknown_field_selector_is_refused(contract: ContractApi) -> None:
    refused(contract, 400, "GET", contract.config_maps, query={"fieldSelector": "data.key=1"})


def test_pages_make_one_list(contract: ContractApi) -> None:
    names = [f"page-{index}" for index in range(5)]
    for name in names:
        contract.make_config_map(name)
    seen: list[str] = []
    token = ""
    while True:
        answer = contract.get(contract.config_maps, limit="2", **{"continue": token})
        seen += [item["metadata"]["name"] for item in items_of(answer)]
        token = answer["metadata"].get("continue", "")
        if not token:
            break
    # A real cluster puts its root CA into every namespace.
    assert [name for name in seen if name.startswith("page-")] == names


def test_a_watch_goes_on_from_a_version(contract: ContractApi) -> None:
    contract.make_config_map("seen", key="1")
    version = resource_version(contract.get(contract.config_maps))
    path = f"{contract.config_maps}/seen"
    contract.ask("PATCH", path, {"data": {"key": "2"}}, content_type=STRATEGIC_PATCH)
    contract.make_config_map("other")
    contract.ask("DELETE", path)
    events = contract.watch(
        contract.config_maps,
        until="DELETED",
        resourceVersion=version,
        fieldSelector="metadata.name=seen",
    )
    assert [event.kind for event in events] == ["MODIFIED", "DELETED"]
    assert events[0].object["data"] == {"key": "2"}
    versions = [resource_version(event.object) for event in events]
    assert len({version, *versions}) == 3


def test_a_watch_without_a_version_begins_with_what_is_there(contract: ContractApi) -> None:
    contract.make_config_map("there")
    events = contract.watch(
        contract.config_maps, until="ADDED", fieldSelector="metadata.name=there"
    )
    assert [event.kind for event in events] == ["ADDED"]


def test_a_watch_ends_in_time_and_with_bookmarks_tells_its_version(contract: ContractApi) -> None:
    version = resource_version(contract.get(contract.config_maps))
    events = contract.watch(
        contract.config_maps,
        until="never",
        # A real server sends none in watches of a few seconds.
        timeout_s=3 if contract.is_fake else 15,
        resourceVersion=version,
        fieldSelector="metadata.name=nothing",
        allowWatchBookmarks="true",
    )
    assert {event.kind for event in events} == {"BOOKMARK"}
    assert resource_version(events[-1].object)


def test_a_version_of_long_ago_is_gone(contract: ContractApi) -> None:
    """The real server says so inside the watch or as the answer; the agent takes both."""
    contract.compact()
    codes: list[object]
    try:
        events = contract.watch(
            contract.config_maps, until="ERROR", timeout_s=3, resourceVersion="1"
        )
        codes = [event.object.get("code") for event in events if event.kind == "ERROR"]
    except RefusedError as error:
        codes = [error.status]
    if not codes and not contract.is_fake:
        pytest.skip("this server still knows its first version")
    assert codes == [410]


def test_an_update_from_an_old_version_is_a_conflict(contract: ContractApi) -> None:
    old = contract.make_config_map("contested", key="1")
    path = f"{contract.config_maps}/contested"
    contract.ask("PUT", path, {**old, "data": {"key": "2"}})
    refused(contract, 409, "PUT", path, body={**old, "data": {"key": "3"}})


def test_what_is_there_cannot_be_created_and_what_is_not_cannot_be_read(
    contract: ContractApi,
) -> None:
    contract.make_config_map("once")
    refused(contract, 409, "POST", contract.config_maps, body={"metadata": {"name": "once"}})
    refused(contract, 404, "GET", f"{contract.config_maps}/nowhere")


def test_a_write_that_changes_nothing_makes_no_version(contract: ContractApi) -> None:
    made = contract.make_config_map("still", key="1")
    path = f"{contract.config_maps}/still"
    again = contract.ask("PATCH", path, {"data": {"key": "1"}}, content_type=STRATEGIC_PATCH)
    assert resource_version(again) == resource_version(made)


def carry_out(contract: ContractApi, name: str, changes: tuple[object, ...]) -> None:
    for change in changes:
        status = change.patch is Patch.CONDITION  # type: ignore[attr-defined]
        contract.ask(
            "PATCH",
            f"/api/v1/nodes/{name}" + ("/status" if status else ""),
            change.body,  # type: ignore[attr-defined]
            content_type=STRATEGIC_PATCH if status else JSON_PATCH,
        )


def taints(contract: ContractApi, name: str) -> set[str]:
    # The node controller adds taints of its own to a Node without a kubelet.
    return {taint.key for taint in node_view(contract.get(f"/api/v1/nodes/{name}")).taints}


def test_our_condition_and_taint_come_and_go_and_leave_others_alone(contract: ContractApi) -> None:
    name = node_name()
    contract.make_node(name, spec={"taints": [{"key": "example.com/a", "effect": "NoSchedule"}]})
    path = f"/api/v1/nodes/{name}"
    contract.ask(
        "PATCH",
        f"{path}/status",
        {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Test"}]}},
        content_type=STRATEGIC_PATCH,
    )
    start = first_verdict(now=0.0, resumed=False)
    for verdict in (start, judge(start, Signs(peers=1, established=1), ReadinessSettings(), 1.0)):
        view = node_view(contract.get(path))
        carry_out(contract, name, plan_status(view, verdict, StatusSettings(), at=AT))
        view = node_view(contract.get(path))
        assert plan_status(view, verdict, StatusSettings(), at=AT) == ()
        condition = view.condition(CONDITION)
        assert condition is not None
        assert condition.status == str(not verdict.is_ready)
        assert view.condition("Ready") is not None
        assert (TAINT_KEY in taints(contract, name)) is not verdict.is_ready
        assert "example.com/a" in taints(contract, name)
    carry_out(contract, name, plan_status_removal(node_view(contract.get(path))))
    assert node_view(contract.get(path)).condition(CONDITION) is None


def test_a_taint_patch_decided_on_an_old_node_is_refused(contract: ContractApi) -> None:
    name = node_name()
    contract.make_node(name)
    path = f"/api/v1/nodes/{name}"
    # A real cluster taints new Nodes itself.
    old = replace(node_view(contract.get(path)), taints=())
    contract.ask("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, content_type=STRATEGIC_PATCH)
    verdict = first_verdict(now=0.0, resumed=False)
    changes = plan_status(old, verdict, StatusSettings(condition=False), at=AT)
    refused(contract, 422, "PATCH", path, body=changes[0].body, content_type=JSON_PATCH)


def test_each_door_of_a_node_changes_its_half_only(contract: ContractApi) -> None:
    name = node_name()
    contract.make_node(name)
    path = f"/api/v1/nodes/{name}"
    both = {
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Test", "status": "True"}]},
    }
    found = contract.ask("PATCH", path, both, content_type=STRATEGIC_PATCH)
    assert found["spec"]["unschedulable"] is True
    assert node_view(found).condition("Test") is None
    both["spec"] = {"unschedulable": False}
    found = contract.ask("PATCH", f"{path}/status", both, content_type=STRATEGIC_PATCH)
    assert found["spec"]["unschedulable"] is True
    assert node_view(found).condition("Test") is not None


def test_pod_cidrs_cannot_change_once_set(contract: ContractApi) -> None:
    name = node_name()
    contract.make_node(name, spec={"podCIDR": "10.99.1.0/24", "podCIDRs": ["10.99.1.0/24"]})
    body = {"spec": {"podCIDR": "10.99.2.0/24", "podCIDRs": ["10.99.2.0/24"]}}
    refused(
        contract, 422, "PATCH", f"/api/v1/nodes/{name}", body=body,
        content_type="application/merge-patch+json",
    )  # fmt: skip


def test_all_nodes_in_pages_say_their_age_and_cidrs(contract: ContractApi) -> None:
    made = sorted(node_name() for _ in range(3))
    for index, name in enumerate(made):
        cidr = f"10.99.{index}.0/24"
        contract.make_node(name, spec={"podCIDR": cidr, "podCIDRs": [cidr]})
    found = []
    token = ""
    while not found or token:
        answer = contract.get("/api/v1/nodes", limit="2", **{"continue": token})
        found += [claim(item) for item in items_of(answer)]
        token = answer["metadata"].get("continue", "")
    ours = [each for each in found if each.name in made]
    assert [str(*each.pod_cidrs) for each in ours] == [f"10.99.{index}.0/24" for index in range(3)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each.created) for each in ours)


def test_an_event_about_a_node_is_taken(contract: ContractApi) -> None:
    name = node_name()
    node = node_view(contract.make_node(name))
    events = "/apis/events.k8s.io/v1/namespaces/default/events"
    body = event(Note("Test", "hello", warning=True), node, "2026-01-02T03:04:05.000000Z")
    made = contract.post(events, body)
    contract.ask("DELETE", f"{events}/{made['metadata']['name']}")
    assert made["metadata"]["name"].startswith(f"{name}-")
    assert made["regarding"]["name"] == name
