"""The agent's door to the API over real connections, with every fault the fake can make."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bgp.secret import Secret
from router.kube.access import Access, AccessError, in_pod
from router.kube.cluster import Cluster
from router.kube.event import Note
from router.kube.pace import Pace
from router.kube.view import ClusterSettings, ClusterView
from router.model.node import Presence, SecretRef
from router.reconcile.node_status import CONDITION, TAINT_KEY, StatusSettings
from router.reconcile.readiness import (
    ReadinessSettings,
    Signs,
    first_verdict,
    judge,
)
from tests.support.fake_api import objects
from tests.support.fake_api.server import FakeApi
from tests.support.fake_api.tls import make_certificates
from tests.support.wait import wait_until

PACE = Pace(least_s=0.02, first_s=0.05, longest_s=0.3, settled_s=0.2, watch_s=30, request_s=2)
NAMESPACE = "podroute"
REF = SecretRef("bgp", "tor1")
STARTING = first_verdict(now=0.0, resumed=False)
READY = judge(STARTING, Signs(peers=1, established=1), ReadinessSettings(), 1.0)
Start = Callable[..., Cluster]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(bookmark_s=0.2) as fake:
        taint = {"key": TAINT_KEY, "effect": "NoSchedule"}
        made = objects.node("node1", addresses=("10.0.0.11",), taints=(taint,))
        fake.put("nodes", made)
        data = {"config.yaml": "local_asn: 1\n"}
        fake.put("configmaps", objects.config_map("podroute", data), namespace=NAMESPACE)
        yield fake


@pytest.fixture
def start(api: FakeApi) -> Iterator[Start]:
    with ExitStack() as stack:

        def run(**changes: object) -> Cluster:
            settings = ClusterSettings(
                access=Access(server=api.url),
                node="node1",
                namespace=NAMESPACE,
                config_map="podroute",
                pace=PACE,
            )
            woken = threading.Event()
            cluster = Cluster(replace(settings, **changes), woken.set)  # type: ignore[arg-type]
            stack.callback(cluster.close)
            return cluster

        yield run


def wait_view(cluster: Cluster, what: str, test: Callable[[ClusterView], object]) -> ClusterView:
    def probe() -> ClusterView | None:
        view = cluster.take()
        return view if test(view) else None

    return wait_until(probe, deadline_s=10, what=f"{what}; view {cluster.take()}")


def connected(cluster: Cluster) -> ClusterView:
    return wait_view(cluster, "connected", lambda view: view.connected)


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


def condition(api: FakeApi) -> dict[str, str]:
    found = api.get("nodes", "node1")["status"]["conditions"]
    return next((c for c in found if c["type"] == CONDITION), {})


def test_the_node_says_what_the_verdict_says(api: FakeApi, start: Start) -> None:
    cluster = start()
    cluster.want_status(STARTING, StatusSettings())
    wait_until(lambda: condition(api).get("status") == "True", deadline_s=5, what="unavailable")
    cluster.want_status(READY, StatusSettings())
    wait_until(lambda: condition(api).get("status") == "False", deadline_s=5, what="available")
    wait_until(lambda: not api.get("nodes", "node1")["spec"]["taints"], deadline_s=5, what="taint")
    assert len(api.requests("patch")) == 3
    for _ in range(50):
        cluster.want_status(READY, StatusSettings())
    # Somebody else's write comes after all of them, and nothing was written for it.
    api.patch("nodes", "node1", {"metadata": {"labels": {"a": "b"}}})
    wait_view(cluster, "label", lambda v: v.node.value and "a" in v.node.value.labels)
    assert len(api.requests("patch")) == 3


def test_a_condition_that_others_overwrite_comes_back(api: FakeApi, start: Start) -> None:
    cluster = start()
    cluster.want_status(READY, StatusSettings())
    wait_until(lambda: condition(api).get("status") == "False", deadline_s=5, what="ours")
    foreign = {"type": CONDITION, "status": "True", "reason": "NoRouteCreated"}
    api.patch("nodes", "node1", {"status": {"conditions": [foreign]}})
    wait_until(
        lambda: condition(api)["reason"] == "PodrouteReady", deadline_s=20, what="ours again"
    )


def test_a_refused_write_is_told_and_tried_again(api: FakeApi, start: Start) -> None:
    cluster = start()
    connected(cluster)
    api.fail(action="status", status=403, verbs=("patch",))
    cluster.want_status(READY, StatusSettings())
    wait_view(cluster, "the problem", lambda v: "403" in v.status_problem)
    api.faults.clear()
    wait_until(lambda: condition(api).get("status") == "False", deadline_s=5, what="written")
    wait_view(cluster, "no problem", lambda v: not v.status_problem)


def test_nothing_is_written_while_the_api_is_away(api: FakeApi, start: Start) -> None:
    cluster = start()
    connected(cluster)
    api.fail(action="status", status=503)
    api.cut()
    wait_view(cluster, "loss", lambda v: not v.connected)
    cluster.want_status(READY, StatusSettings())
    asked = len(api.requests("watch"))
    wait_until(lambda: len(api.requests("watch")) > asked + 3, deadline_s=10, what="more tries")
    assert api.requests("patch") == []
    api.faults.clear()
    wait_until(lambda: condition(api).get("status") == "False", deadline_s=5, what="written")


def test_secrets_come_by_reference_and_outlive_their_source(api: FakeApi, start: Start) -> None:
    cluster = start()
    cluster.want_secrets(frozenset({REF}))
    wait_view(cluster, "no Secret", lambda v: "no Secret bgp" in v.secret_problems.get(REF, ""))
    api.put("secrets", objects.secret("bgp", {"other": "x"}), namespace=NAMESPACE)
    wait_view(cluster, "no key", lambda v: "no key tor1" in v.secret_problems.get(REF, ""))
    api.patch("secrets", "bgp", {"data": {"tor1": "d29yZA=="}}, namespace=NAMESPACE)
    view = wait_view(cluster, "the password", lambda v: v.secrets.get(REF) == Secret("word"))
    assert view.secret_problems == {}
    assert {r.verb for r in api.requests(path="secrets")} == {"get"}
    assert "word" not in repr(view)
    api.delete("secrets", "bgp", namespace=NAMESPACE)
    cluster.want_secrets(frozenset({REF, SecretRef("bgp", "second")}))
    view = wait_view(cluster, "loss", lambda v: v.secret_problems.get(REF))
    assert view.secrets == {REF: Secret("word")}


def test_events_reach_the_api_once(api: FakeApi, start: Start) -> None:
    cluster = start()
    for _ in range(5):
        cluster.tell(Note("SessionsLost", "no session is established", warning=True))
    cluster.tell(Note("Ready", "all is well"))
    wait_until(lambda: len(api.requests("create")) == 2, deadline_s=5, what="two events")


def test_the_token_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path / "pki", ["127.0.0.1"])
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(certificates.ca.read_bytes())
    objects.write_token(account / "token", "old")
    with FakeApi(certificates=certificates, tokens={"old": "sa"}) as api:
        api.put("nodes", objects.node("node1"))
        access = in_pod({}, server=api.url, account=account)
        settings = ClusterSettings(access=access, node="node1", namespace=NAMESPACE, pace=PACE)
        cluster = Cluster(settings, lambda: None)
        try:
            connected(cluster)
            api._shared.tokens = {"new": "sa"}
            api.cut()
            wait_view(cluster, "401", lambda v: "401" in v.problem)
            objects.write_token(account / "token", "new")
            connected(cluster)
        finally:
            cluster.close()


# asyncio leaves the socket of a failed handshake to the collector; none stays open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_untrusted_server_is_not_talked_to(tmp_path: Path) -> None:
    real = make_certificates(tmp_path / "real", ["127.0.0.1"])
    other = make_certificates(tmp_path / "other", ["127.0.0.1"])
    objects.write_token(tmp_path / "token", "secret-token")
    with FakeApi(certificates=other) as api:
        access = Access(server=api.url, token_file=tmp_path / "token", ca_file=real.ca)
        settings = ClusterSettings(access=access, node="node1", namespace=NAMESPACE, pace=PACE)
        cluster = Cluster(settings, lambda: None)
        try:
            wait_view(cluster, "TLS problem", lambda v: "certificate" in v.problem.lower())
            assert api.requests() == []
        finally:
            cluster.close()
    gc.collect()


def test_addresses_of_the_api_server() -> None:
    env = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert in_pod(env).server == "https://[fd00::1]:6443"
    assert in_pod(env, server="https://10.0.0.1:6443").server == "https://10.0.0.1:6443"
    with pytest.raises(AccessError, match="KUBERNETES_SERVICE_HOST"):
        in_pod({})
    for wrong in ("10.0.0.1:6443", "ftp://x", "https://", "https://x/api", "https://u@x:1"):
        with pytest.raises(AccessError):
            Access(server=wrong)


@pytest.mark.timeout(60)
def test_twenty_agents_and_an_outage_make_no_storm(api: FakeApi, start: Start) -> None:
    """A long outage made short: the bounds scale with the pace."""
    pace = replace(PACE, first_s=0.6, longest_s=0.6, least_s=0.01)
    agents = [start(pace=pace, config_map="") for _ in range(20)]
    for agent in agents:
        connected(agent)
    assert [len(api.requests(verb)) for verb in ("list", "watch")] == [20, 20]
    begin = time.monotonic()
    api.fail(action="status", status=503)
    api.cut()
    tries = 12
    wait_until(
        lambda: len(api.requests("watch")) >= 20 * (1 + tries), deadline_s=30, what="many tries"
    )
    # As a whole never faster than each with its shortest wait.
    assert time.monotonic() - begin >= (tries - 1) * pace.longest_s / 2
    api.faults.clear()
    for agent in agents:
        connected(agent)
    assert len(api.requests("list")) == 20, "nothing was listed again"
