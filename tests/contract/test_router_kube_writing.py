"""What the agent writes to the API and reads by reference; identity; twenty agents at once."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bgp.secret import Secret
from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from containerlab.fakeapi.tls import make_certificates
from router.kube.access import Access, AccessError, in_pod
from router.kube.cluster import Cluster
from router.kube.event import Note
from router.kube.view import ClusterSettings
from router.model.node import SecretRef
from router.reconcile.node_report import Report
from router.reconcile.node_status import CONDITION, StatusSettings
from tests.support.kube_agent import (
    NAMESPACE,
    PACE,
    READY,
    REF,
    STARTING,
    Start,
    connected,
    wait_view,
)
from tests.support.wait import wait_until


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


def test_saying_the_same_again_does_not_wake_the_thread(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's loop says it at every turn."""
    cluster = start()
    posted: list[tuple[object, ...]] = []
    monkeypatch.setattr(cluster, "_post", lambda _, *arguments: posted.append(arguments))
    for _ in range(3):
        cluster.want_status(replace(READY), StatusSettings())
        cluster.want_report(None)
        cluster.want_claims(0)
    assert posted == [(READY, StatusSettings()), (None,)]
    cluster.want_status(STARTING, StatusSettings())
    cluster.want_report(Report())
    cluster.want_report(None)
    assert posted[2:] == [(STARTING, StatusSettings()), (Report(),), (None,)]
    monkeypatch.undo()


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
