"""`podroute --cluster` on the agents of a fabric: the API server is a fake, what it runs is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from containerlab.fakeapi.server import FakeApi
from containerlab.situations.scene import CONF_DIR, Scene
from router.cli.main import main
from tests.support.cluster_agents import Cluster, pod

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]
NAMESPACE = "podroute"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene.up() as made:
        yield made


@pytest.fixture
def api(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Serve exec by running the command on the node, as the kubelet does in the container."""
    nodes = {host.name: host.node for host in scene.hosts}

    def run(node: str, container: str, command: Sequence[str]) -> tuple[int, bytes, bytes]:
        assert container == "router"
        more = ["--conf-dir", CONF_DIR] if command[1] == "doctor" else []
        done = nodes[node].run([*command, *more], check=False, timeout_s=60)
        return done.returncode, done.stdout.encode(), done.stderr.encode()

    with FakeApi() as made:
        cluster = Cluster(made, tmp_path)
        made.service.run = run
        for name in nodes:
            made.put("pods", pod(name), namespace=NAMESPACE)
        cluster.write_kubeconfig({"there": made.url})
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        yield made


def items(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> list[dict[str, Any]]:
    assert main(["--cluster", *words, "-o", "json"]) == status
    said = json.loads(capsys.readouterr().out)
    assert said["silent"] == {}
    found: list[dict[str, Any]] = said["items"]
    return found


@pytest.mark.usefixtures("api")
def test_routes_of_all_nodes(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = items(capsys, "routes", "kernel", "10.244.0.0/16")
    seen = {(row["node"], row["prefix"]) for row in kernel}
    names = [host.name for host in scene.hosts]
    assert seen == {
        (name, f"10.244.{number}.0/24")
        for name in names
        for number, other in enumerate(names, start=1)
        if other != name
    }
    assert all(row["next_hops"].count(" dev eth") == 2 for row in kernel)
    announced = items(capsys, "routes", "announced", "--node", "node2")
    assert {"10.244.2.0/24", "10.255.1.2/32"} <= {row["prefix"] for row in announced}
    from_tor1 = items(capsys, "routes", "accepted", "10.244.3.0/24", "--peer", "tor1-v4")
    assert [(r["node"], r["as_path"]) for r in from_tor1] == [
        ("node1", "65101 65203"),
        ("node2", "65101 65203"),
    ]


@pytest.mark.usefixtures("api")
def test_pods_of_all_nodes(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["node"]: row["pod"] for row in items(capsys, "pods")}
    assert found == {host.name: f"demo/{host.name}-pod" for host in scene.hosts}


@pytest.mark.needs("iptables", "nft", "ping")
def test_one_broken_node_is_found_among_all(
    scene: Scene, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.wait_healthy()
    assert items(capsys, "doctor") == []
    node = scene.hosts[1].node
    node.run(["iptables", "-P", "FORWARD", "DROP"])
    try:
        found = items(capsys, "doctor", status=3)
    finally:
        node.run(["iptables", "-P", "FORWARD", "ACCEPT"])
    assert [(row["node"], row["name"]) for row in found] == [("node2", "forward-drop")]
    assert api.requests("get") != []


def test_a_node_whose_agent_is_away(
    scene: Scene, api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    host = scene.hosts[2]
    host.agent.terminate()
    assert main(["--cluster", "routes", "kernel"]) == 5
    said = capsys.readouterr()
    assert "node3: no answer: podroute routes: the route agent does not run" in said.err
    assert "node1" in said.out
    assert api.requests("get") != []
