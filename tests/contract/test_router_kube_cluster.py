"""The agent's door to the API over real connections, with every fault the fake can make."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.secret import Secret
from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from router.model.node import Presence
from tests.support.kube_agent import (
    NAMESPACE,
    REF,
    Start,
    connected,
    wait_view,
)


def test_the_node_and_the_config_map_arrive_and_are_followed(api: FakeApi, start: Start) -> None:
    cluster = start()
    view = connected(cluster)
    assert view.node.presence is Presence.PRESENT
    assert view.node.value is not None
    assert view.node.value.pod_cidrs == ()
    cidrs = ["10.244.1.0/24", "fd00:244:1::/64"]
    api.patch("nodes", "node1", {"spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs}})
    view = wait_view(
        cluster, "pod CIDRs", lambda v: v.node.value and len(v.node.value.pod_cidrs) == 2
    )
    api.patch("configmaps", "podroute", {"data": {"config.yaml": "new"}}, namespace=NAMESPACE)
    wait_view(
        cluster,
        "new configuration",
        lambda v: v.config_map.value and v.config_map.value.data["config.yaml"] == "new",
    )
    assert [len(api.requests(verb)) for verb in ("list", "watch")] == [2, 2]
    assert {r.query.split("&")[0] for r in api.requests(path="nodes")} == {
        "fieldSelector=metadata.name%3Dnode1"
    }


def test_others_nodes_and_heartbeats_wake_nobody(api: FakeApi, start: Start) -> None:
    cluster = start()
    before = connected(cluster)
    api.put("nodes", objects.node("node2"))
    heartbeat = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": "2026-01-01T00:00:00Z",
    }
    api.patch("nodes", "node1", {"status": {"conditions": [heartbeat]}})
    api.patch("nodes", "node1", {"metadata": {"annotations": {"last": "one"}}})
    wait_view(cluster, "annotation", lambda v: v.node.value and v.node.value.annotations)
    assert cluster.take().requests == before.requests


def test_a_deleted_node_keeps_its_last_value(api: FakeApi, start: Start) -> None:
    cluster = start()
    first = connected(cluster).node.value
    assert first is not None
    api.delete("nodes", "node1")
    view = wait_view(cluster, "absence", lambda v: v.node.presence is Presence.ABSENT)
    assert view.node.value is not None
    assert view.node.value.uid == first.uid
    api.put("nodes", objects.node("node1"))
    view = wait_view(cluster, "again", lambda v: v.node.presence is Presence.PRESENT)
    assert view.node.value is not None
    assert view.node.value.uid != first.uid


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"action": "status", "status": 503}, id="503"),
        pytest.param({"action": "status", "status": 429, "retry_after_s": 0}, id="429"),
        pytest.param({"action": "status", "status": 410}, id="410"),
        pytest.param({"action": "status", "status": 401}, id="401"),
        pytest.param({"action": "reset"}, id="reset"),
        pytest.param({"action": "garbage"}, id="garbage"),
        pytest.param({"action": "hang", "verbs": ("list",)}, id="hang"),
    ],
)
def test_a_fault_changes_nothing_and_passes(
    api: FakeApi, start: Start, fault: dict[str, object]
) -> None:
    cluster = start()
    before = connected(cluster)
    api.fail(**fault)
    api.cut()
    if fault["action"] != "hang":
        view = wait_view(cluster, "the problem", lambda v: not v.connected and v.problem)
        assert (view.node, view.config_map) == (before.node, before.config_map)
    api.patch("nodes", "node1", {"metadata": {"labels": {"changed": "meanwhile"}}})
    api.faults.clear()
    wait_view(
        cluster,
        "what changed meanwhile",
        lambda v: v.node.value and "changed" in v.node.value.labels,
    )
    connected(cluster)


def test_an_event_cut_in_the_middle_is_read_again(api: FakeApi, start: Start) -> None:
    cluster = start()
    connected(cluster)
    api.fail(action="truncate", path="nodes", count=1)
    api.patch("nodes", "node1", {"metadata": {"labels": {"cut": "yes"}}})
    wait_view(cluster, "the label", lambda v: v.node.value and "cut" in v.node.value.labels)
    assert len(api.requests("list", path="nodes")) == 1


def test_a_compacted_history_is_listed_anew_once(api: FakeApi, start: Start) -> None:
    cluster = start()
    connected(cluster)
    api.down()
    api.patch("nodes", "node1", {"metadata": {"labels": {"while": "down"}}})
    api.compact()
    api.up()
    wait_view(cluster, "the label", lambda v: v.node.value and "while" in v.node.value.labels)
    connected(cluster)
    lists = api.requests("list", path="nodes")
    assert len(lists) == 2
    assert "resourceVersion" not in lists[-1].query


def test_an_agent_restarted_in_an_outage_knows_who_it_is(
    api: FakeApi, start: Start, tmp_path: Path
) -> None:
    api.put("secrets", objects.secret("bgp", {"tor1": "word\n"}), namespace=NAMESPACE)
    memory = tmp_path / "cluster.json"
    first = start(memory=memory)
    first.want_secrets(frozenset({REF}))
    before = wait_view(first, "secret", lambda v: v.connected and v.secrets)
    first.close()
    assert memory.stat().st_mode & 0o777 == 0o600
    api.down()
    view = start(memory=memory).take()
    assert view.node.presence is Presence.UNKNOWN
    assert view.node.value is not None
    assert before.node.value is not None
    assert view.node.value.uid == before.node.value.uid
    assert view.config_map.value == before.config_map.value
    assert view.secrets == {REF: Secret("word")}
    # A node of another name must not take it for its own.
    assert start(memory=memory, node="node2").take().node.value is None
