"""The demo's control plane: a fake API server on a management network of its own, and its users.

The API server is a program on the `client` node at 192.0.2.100, reached by each node over a link
of its own (`eth0`, as containerlab's and most machines' management network): it does not depend on
BGP, so that the one can be away without the other. Nothing forwards between the two.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml

from containerlab.demo.fabric import NODES, ROOT
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from containerlab.runtime.namespace import Connection

ADDRESS: Final = "192.0.2.100"
PORT: Final = 6443
URL: Final = f"https://{ADDRESS}:{PORT}"
MODULE: Final = "containerlab.fakeapi"
_ADMIN: Final = "demo-admin"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_TLS: Final = "/run/fake-api"

Object = dict[str, Any]


class ApiError(RuntimeError):
    """The API server refused something of the demo's."""


def join_management_network(lab: Lab) -> None:
    """Give each node a link to the API server's address; in the nodes' namespaces only."""
    client = lab.nodes["client"]
    client.run(["ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo"])
    for number, name in enumerate(NODES, start=1):
        node = lab.nodes[name]
        there, here = f"192.0.2.{2 * number}", f"192.0.2.{2 * number + 1}"
        # Both ends are made where they belong: nothing shows up in the root namespace.
        ends = ["name", f"mgmt{number}", "netns", str(client.pid), "type", "veth"]
        peer = ["peer", "name", "eth0", "netns", str(node.pid)]
        subprocess.run(["ip", "link", "add", *ends, *peer], check=True)
        for each, device, address in ((client, f"mgmt{number}", there), (node, "eth0", here)):
            each.run(["ip", "addr", "add", f"{address}/31", "dev", device])
            each.run(["ip", "link", "set", device, "up"])
        node.run(["ip", "route", "add", ADDRESS, "via", there])


def token_of(node: str) -> str:
    """Return the token of the agent's service account on a node."""
    return f"podroute-{node}"


def kubeconfig(url: str, token: str, ca: str = "") -> str:
    """Return a kubeconfig for one server, whose certificate is signed by *ca* (PEM) if any."""
    authority = {"certificate-authority-data": base64.b64encode(ca.encode()).decode()} if ca else {}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "agent"}}],
            "clusters": [{"name": "lab", "cluster": {"server": url, **authority}}],
            "users": [{"name": "agent", "user": {"token": token}}],
        }
    )


class ApiServer:
    """The program, its faults, and requests of an administrator."""

    def __init__(self, client: Node) -> None:
        """Start it; returns once it listens."""
        self._node = client
        tokens = {_ADMIN: "admin"} | {
            token_of(name): "system:serviceaccount:podroute:podroute" for name in NODES
        }
        arguments = ["--address", ADDRESS, "--port", str(PORT), "--tls", _TLS]
        for token, user in tokens.items():
            arguments += ["--token", f"{token}={user}"]
        self._process = client.popen(
            [sys.executable, "-m", MODULE, *arguments],
            env={"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise ApiError(f"the API server did not start: {self._process.stderr.read()}")
        self.ca = client.run(["cat", f"{_TLS}/ca.crt"]).stdout
        self._context = ssl.create_default_context(cadata=self.ca)

    def kubeconfig(self, node: str) -> str:
        """Return the kubeconfig of a node's agent."""
        return kubeconfig(URL, token_of(node), self.ca)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def do(self, what: str) -> Any:
        """Give it a command: "down" (refuse and cut all connections), "up", "requests"."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def request(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Object:
        """Ask as the administrator. Raises ApiError."""
        connection = Connection(self._node.pid, (ADDRESS, PORT), context=self._context)
        headers = {"Authorization": f"Bearer {_ADMIN}", "Content-Type": content_type}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer: Object = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 300:
            raise ApiError(f"{method} {path}: {answer.get('message', response.status)}")
        return answer

    def node(self, name: str) -> Object:
        """Return a Node."""
        return self.request("GET", f"/api/v1/nodes/{name}")

    def merge(self, path: str, patch: Mapping[str, Any]) -> Object:
        """Apply a merge patch."""
        return self.request("PATCH", path, patch, _MERGE)

    def set_condition(self, node: str, entry: Mapping[str, str]) -> None:
        """Set one condition of a Node, as kubelet does: merged by its type."""
        self.request(
            "PATCH", f"/api/v1/nodes/{node}/status", {"status": {"conditions": [entry]}}, _STRATEGIC
        )

    def config_maps(self, namespace: str) -> dict[str, dict[str, str]]:
        """Return the data of all ConfigMaps of a namespace."""
        listed = self.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")
        return {item["metadata"]["name"]: item.get("data", {}) for item in listed["items"]}


def condition(node: Mapping[str, Any], kind: str) -> Mapping[str, str]:
    """Return a Node's condition of a type, {} if it has none."""
    conditions = node.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == kind), {})
