"""A cluster whose agents stand between models, behind a fake API server and its exec."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from containerlab.fakeapi.server import FakeApi
from router.agent import view
from router.kube.status_object import STATUSES
from tests.support.agent import Bench
from tests.support.bgp_events import update

PODS = {
    "pods": [
        {
            "network": "podroute", "container_id": "c" * 64, "ifname": "eth0",
            "addresses": ["10.244.1.7"], "orphaned": [], "kind": "pod link", "no_host_route": [],
            "namespace": "shop", "pod": "web-0", "interface": "pod1", "netns": None, "since": 1,
        }
    ],
    "pools": [],
}  # fmt: skip
FINDING = {"name": "rp-filter-strict", "text": "t", "evidence": "e", "fix": "f"}
HUGE = 300_000
"""An answer larger than a frame."""


class Cluster:
    """Two nodes with agents; what each would print."""

    def __init__(self, api: FakeApi, folder: Path) -> None:
        self.api = api
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.answers: dict[str, tuple[int, bytes, bytes]] = {}
        self.kubeconfig = folder / "config"
        self.bench = Bench()
        self.bench.establish("tor1", restart_time_s=120)
        self.bench.step(update("tor1", "10.244.2.0/24", "10.244.3.0/24", "192.0.2.0/24"))
        api.service.run = self.run

    def write_kubeconfig(
        self, servers: Mapping[str, str], *, ca: Path | None = None, token: str = "t"
    ) -> None:
        """Write one with a context for each server; the current one is `there`."""
        authority = {"certificate-authority": str(ca)} if ca else {}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "there",
            "contexts": [{"name": n, "context": {"cluster": n, "user": "me"}} for n in servers],
            "clusters": [
                {"name": name, "cluster": {"server": url, **authority}}
                for name, url in servers.items()
            ],
            "users": [{"name": "me", "user": {"token": token}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def run(self, node: str, container: str, command: Sequence[str]) -> tuple[int, bytes, bytes]:
        self.asked.append((node, container, tuple(command)))
        if node in self.answers:
            return self.answers[node]
        agent = self.bench.agent
        made: dict[str, Any] = {
            "routes": lambda: view.routes(agent),
            "status": lambda: view.status(agent, self.bench.now),
            "pods": lambda: PODS,
            "doctor": lambda: {"findings": [FINDING], "not_looked_at": ["x" * HUGE]},
        }
        status = 3 if command[1] == "doctor" else 0
        return status, json.dumps(made[command[1]]()).encode(), b""


def write_status(api: FakeApi, node: str, status: dict[str, Any]) -> None:
    body = json.dumps({"status": status}).encode()
    headers = {"Content-Type": "application/merge-patch+json"}
    url = f"{api.url}{STATUSES}/{node}/status"
    request = urllib.request.Request(url, body, headers, method="PATCH")
    urllib.request.urlopen(request).close()


def pod(node: str, *, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"podroute-{node}",
            "labels": {"app.kubernetes.io/name": "podroute"},
        },
        "spec": {"nodeName": node, "containers": [{"name": "cni"}, {"name": "router"}]},
        "status": {"phase": phase},
    }
