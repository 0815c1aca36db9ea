"""`podroute --cluster`: objects and agents of a whole cluster, asked from a laptop.

The API server is the fake one; what the kubelet's exec would run is answered by an agent between
models of kernel and speaker, through the same views that the real one prints.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from containerlab.fakeapi import objects
from containerlab.fakeapi.server import FakeApi
from containerlab.fakeapi.tls import make_certificates
from router.agent.report import node_report
from router.cli.main import main
from router.config.crd import definitions
from tests.support.cluster_agents import Cluster, pod, write_status

NAMESPACE = "podroute"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with FakeApi() as api:
        made = Cluster(api, tmp_path)
        for crd in definitions():
            api.put("customresourcedefinitions", crd)
        report = node_report(made.bench.agent, made.bench.now, 1000.0).status
        for node in ("node1", "node2"):
            api.put("nodes", objects.node(node))
            status = {**report, "node": node}
            found = {
                "apiVersion": "podroute.dev/v1alpha1",
                "kind": "BGPNodeStatus",
                "metadata": {"name": node},
            }
            api.put("bgpnodestatuses", found)
            write_status(api, node, status)
            api.put("pods", pod(node), namespace=NAMESPACE)
        api.put("nodes", objects.node("node3"))
        made.write_kubeconfig({"here": api.url, "there": "http://127.0.0.1:9"})
        monkeypatch.setenv("KUBECONFIG", str(made.kubeconfig))
        yield made


def ask(*words: str) -> int:
    return main(["--cluster", *words, "--context", "here"])


def rows(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[dict[str, Any]]:
    assert ask(*words, "-o", "json") == status
    items: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["items"]
    return items


def test_nodes(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("nodes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["NODE", "READY", "SESSIONS", "ROUTES"]
    assert [line.split()[:1] for line in lines[1:]] == [["node1"], ["node2"], ["node3"]]
    assert "1/2" in lines[1]
    assert "no BGPNodeStatus" in lines[3]
    assert rows(capsys, "nodes", "--node", "node2")[0]["sessions"] == "1/2"
    assert cluster.asked == []


def test_peers_and_their_filters(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    every = rows(capsys, "peers")
    assert [(r["node"], r["peer"]) for r in every] == [
        ("node1", "tor1"), ("node1", "tor2"), ("node2", "tor1"), ("node2", "tor2"),
    ]  # fmt: skip
    assert {r["peer"] for r in rows(capsys, "peers", "--down")} == {"tor2"}
    assert {r["peer"] for r in rows(capsys, "peers", "--state", "established")} == {"tor1"}
    only = rows(capsys, "peers", "--peer", "tor2", "--node", "node1")
    assert [(r["node"], r["peer"]) for r in only] == [("node1", "tor2")]
    assert rows(capsys, "peers", "--peer", "nobody") == []
    assert cluster.asked == []


def test_routes(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    received = rows(capsys, "routes", "received")
    assert ("node2", "192.0.2.0/24") in {(r["node"], r["prefix"]) for r in received}
    accepted = {r["prefix"] for r in rows(capsys, "routes", "accepted")}
    assert accepted == {"10.244.2.0/24", "10.244.3.0/24"}
    inside = rows(capsys, "routes", "received", "10.244.0.0/16", "--node", "node1")
    assert [(r["node"], r["prefix"]) for r in inside] == [
        ("node1", "10.244.2.0/24"), ("node1", "10.244.3.0/24"),
    ]  # fmt: skip
    kernel = rows(capsys, "routes", "kernel", "10.244.3.0/24")
    assert kernel[0]["next_hops"] == "10.0.1.2 dev eth1"
    announced = {r["prefix"] for r in rows(capsys, "routes", "announced")}
    assert announced == {"10.244.1.0/24", "10.255.1.1/32"}
    node, container, command = cluster.asked[0]
    assert (node, container) == ("node1", "router")
    assert command == ("podroute", "routes", "-o", "json")


def test_over_tls_with_a_token_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    certificates = make_certificates(tmp_path / "pki", ["127.0.0.1"])
    with FakeApi(certificates=certificates, tokens={"t": "me"}) as api:
        cluster = Cluster(api, tmp_path)
        api.put("pods", pod("node1"), namespace=NAMESPACE)
        cluster.write_kubeconfig({"there": "http://x", "here": api.url}, ca=certificates.ca)
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        assert [r["node"] for r in rows(capsys, "pods")] == ["node1"]
        cluster.write_kubeconfig({"here": api.url}, ca=certificates.ca, token="other")
        assert ask("pods") == 1
        assert "401" in capsys.readouterr().err
        cluster.write_kubeconfig({"here": api.url})
        assert ask("pods") == 1
        assert "certificate" in capsys.readouterr().err.lower()


def test_only_the_asked_nodes_are_asked(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    rows(capsys, "pods", "--node", "node2")
    assert [node for node, _, _ in cluster.asked] == ["node2"]


def test_pods(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "pods", "web")
    assert [(r["node"], r["pod"], r["addresses"]) for r in found] == [
        ("node1", "shop/web-0", "10.244.1.7"), ("node2", "shop/web-0", "10.244.1.7"),
    ]  # fmt: skip
    assert rows(capsys, "pods", "db") == []


def test_doctor_asks_everybody_and_says_so_in_its_status(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(capsys, "doctor", status=3)
    assert [(r["node"], r["name"]) for r in found] == [
        ("node1", "rp-filter-strict"), ("node2", "rp-filter-strict"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((1, b"", b"podroute routes: the route agent does not run\nmore"), "does not run"),
        ((127, b"", b""), "exit status 127"),
        ((0, b"<html>", b""), "not JSON"),
        ((0, b"[]", b""), "not an object"),
    ],
)
def test_a_node_without_an_answer_is_named_and_the_others_are_shown(
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, bytes, bytes],
    words: str,
) -> None:
    cluster.answers["node1"] = answer
    assert ask("routes", "kernel") == 5
    said = capsys.readouterr()
    assert "node2" in said.out
    assert "node1" not in said.out
    assert said.err.startswith("podroute: node1: no answer: ")
    assert words in said.err


def test_a_node_without_an_agent(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask("pods", "--node", "node3") == 5
    assert "node3: no answer: no agent's pod runs there" in capsys.readouterr().err
    cluster.api.put("pods", pod("node3", phase="Pending"), namespace=NAMESPACE)
    assert ask("pods", "--node", "node3") == 5


def test_events(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (kind, controller) in enumerate(
        [("Warning", "podroute.dev/router"), ("Normal", "podroute.dev/router"), ("Warning", "x")]
    ):
        event = {
            "metadata": {"name": f"e{number}", "namespace": "default"},
            "eventTime": f"2026-01-02T03:04:0{9 - number}.000000Z",
            "type": kind,
            "reason": f"Reason{number}",
            "note": "text",
            "reportingController": controller,
            "regarding": {"kind": "Node", "name": "node1"},
        }
        cluster.api.put("events", event, namespace="default")
    assert [r["reason"] for r in rows(capsys, "events")] == ["Reason1", "Reason0"]
    assert [r["reason"] for r in rows(capsys, "events", "--warnings")] == ["Reason0"]


def test_wide_yaml_and_an_empty_table(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    ask("peers")
    narrow = capsys.readouterr().out.splitlines()[0]
    ask("peers", "-o", "wide")
    assert len(capsys.readouterr().out.splitlines()[0].split()) > len(narrow.split())
    ask("peers", "-o", "yaml")
    assert len(yaml.safe_load(capsys.readouterr().out)["items"]) == 4
    assert ask("peers", "--peer", "nobody") == 0
    assert capsys.readouterr().out == "nothing to show\n"


def test_an_api_server_that_does_not_answer(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cluster", "peers"]) == 1  # the current context is of a dead one
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert main(["--cluster", "peers", "--kubeconfig", "/nowhere"]) == 1
    assert "no kubeconfig at /nowhere" in capsys.readouterr().err
    assert main(["--cluster", "peers", "--context", "nosuch"]) == 1
    assert "nosuch" in capsys.readouterr().err


def test_a_cluster_without_the_resource(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    (crd,) = [c for c in definitions() if c["spec"]["names"]["kind"] == "BGPNodeStatus"]
    cluster.api.delete("customresourcedefinitions", crd["metadata"]["name"])
    assert ask("peers") == 1
    assert "crds.yaml" in capsys.readouterr().err


def test_wrong_usage() -> None:
    for words in (["nosuch"], ["routes"], ["routes", "received", "10.0.0.0/99"], []):
        with pytest.raises(SystemExit) as ended:
            ask(*words)
        assert ended.value.code == 2


def test_watching_shows_it_again(cluster: Cluster) -> None:
    program = Path(sys.executable).with_name("kubectl-podroute")
    words = [program, "peers", "--context", "here", "--watch", "0.1", "-o", "json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        seen = 0
        for line in watching.stdout:
            seen += '"items"' in line
            if seen == 3:
                break
        watching.terminate()
    assert seen == 3
