"""A fabric whose agents read Services, servers in pods, and DNAT as kube-proxy's.

kube-proxy is not here: its nftables mode comes down to one rule per address for what is asked
here, and a node without a ready endpoint of its own keeps the rule while its last one serves.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from containerlab.demo.fabric import TOPOLOGY, Fabric, Host
from containerlab.demo.kubernetes_api import URL, ApiServer, join_management_network, token_of
from containerlab.demo.pod import Pod
from containerlab.fakeapi import objects
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from tests.support.wait import NotYetError, wait_until

VIPS = {4: "203.0.113.7", 6: "2001:db8:cafe::7"}
PORT, TARGET = 80, 8080
RESTART_S = 16
_CONFIG, _KUBECONFIG = "/run/services.yaml", "/run/kubeconfig"
_SERVICES = "/api/v1/namespaces/shop/services"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"

# One answer per connection: who answers, and whom it takes for the client.
_SERVER = """
import socket, sys
server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True,
                              backlog=128)
while True:
    connection, client = server.accept()
    connection.sendall(f"{sys.argv[1]} {client[0].removeprefix('::ffff:')}".encode())
    connection.close()
"""
# Connects every 10 ms; one line for each connection.
_PROBE = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.9) as connection:
            print(connection.recv(100).decode() or "failed: closed without a word", flush=True)
    except OSError as error:
        print(f"failed: {error}", flush=True)
    time.sleep(0.01)
"""


class Probe:
    """A client that connects all the while."""

    def __init__(self, client: Node, vip: str) -> None:
        self._lines: list[str] = []
        self._process = client.popen(
            [sys.executable, "-c", _PROBE, vip, str(PORT)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.strip())

    def wait_connections(self, count: int = 20) -> None:
        """Wait for so many more, answered or not."""
        wanted = len(self._lines) + count
        wait_until(lambda: len(self._lines) >= wanted, deadline_s=30, what=f"{count} connections")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def answers(self) -> set[str]:
        """Return who answered, and whom it took for the client."""
        return {line for line in self._lines if not line.startswith("failed")}

    @property
    def failures(self) -> list[str]:
        return [line for line in self._lines if line.startswith("failed")]

    @property
    def nodes(self) -> set[str]:
        return {answer.split()[0] for answer in self.answers}


class Shop:
    """Two nodes with a pod each that serves; the Service in front of them is the test's."""

    def __init__(self, lab: Lab) -> None:
        self.fabric = Fabric(lab)
        self.hosts = self.fabric.hosts[:2]
        self.client = self.fabric.client
        join_management_network(lab)
        self.api = ApiServer(self.client)
        self.pods: dict[str, Pod] = {}
        self.servers: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        self.fabric.wait_routers()
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
        for host in self.hosts:
            self._register(host)
            host.cni.start()
            self.start_agent(host)
        for host in self.hosts:
            self.fabric.wait_fresh(host, since_epoch=0)
            pod = host.runtime.make_pod("web")
            self.pods[host.name] = pod
            self.serve(host)

    def start_agent(self, host: Host) -> None:
        host.agent.start(
            "router", "--config", _CONFIG, "--kubernetes", "--kubeconfig", _KUBECONFIG,
            "--node", host.name,
        )  # fmt: skip

    def _register(self, host: Host) -> None:
        cidrs = [str(cidr) for cidr in host.pod_cidrs]
        made = objects.node(
            host.name, pod_cidrs=tuple(cidrs), addresses=tuple(host.config["node_addresses"])
        )
        self.api.request("POST", "/api/v1/nodes", made)
        # An agent that is restarted without the API waits for it for half of this.
        config = {**host.config, "graceful_restart_s": RESTART_S}
        config["announce"] = {**config["announce"], "services": {"load_balancer": True}}
        write(host.node, _CONFIG, yaml.safe_dump(config))
        ca = base64.b64encode(self.api.ca.encode()).decode()
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {"name": "c", "cluster": {"server": URL, "certificate-authority-data": ca}}
            ],
            "users": [{"name": "u", "user": {"token": token_of(host.name)}}],
        }
        write(host.node, _KUBECONFIG, yaml.safe_dump(kubeconfig))

    def close(self) -> None:
        for server in self.servers.values():
            server.kill()
            server.communicate()
        self.api.close()

    # --- servers, and what kube-proxy would do -------------------------------------------------

    def serve(self, host: Host) -> None:
        """Start the pod's server and the node's DNAT to it."""
        pod = self.pods[host.name]
        self.servers[host.name] = pod.popen(
            [sys.executable, "-c", _SERVER, host.name, str(TARGET)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        rules = "".join(
            f"add table {family} proxy\nadd chain {family} proxy services"
            " { type nat hook prerouting priority dstnat; }\n"
            f"flush chain {family} proxy services\n"
            f"add rule {family} proxy services {family} daddr {VIPS[version]} tcp dport {PORT}"
            f" dnat to {target}\n"
            for version, family, target in (
                (4, "ip", f"{pod.address(4)}:{TARGET}"),
                (6, "ip6", f"[{pod.address(6)}]:{TARGET}"),
            )
        )
        host.node.run(["nft", "-f", "-"], input=rules)

    def kill_server(self, host: Host) -> None:
        """End the pod's server; the DNAT stays."""
        server = self.servers.pop(host.name)
        server.kill()
        server.communicate()

    # --- the API --------------------------------------------------------------------------------

    def make_service(self, policy: str) -> None:
        spec = {"externalTrafficPolicy": policy}
        made = objects.service("web", ingress=tuple(VIPS.values()), spec=spec)
        self.api.request("POST", _SERVICES, made)
        # The load balancer's controller writes through the other door.
        self.api.merge(f"{_SERVICES}/web/status", {"status": made["status"]})
        for family in VIPS:
            name = f"web-{family}"
            self.api.request(
                "POST", _SLICES, objects.endpoint_slice(name, "web", [], family=family)
            )

    def set_endpoints(self, **states: str) -> None:
        """Set the endpoints, by node "ready" or "terminating"."""
        for family in VIPS:
            endpoints = [
                objects.endpoint(
                    self.pods[name].address(family), name, terminating=state == "terminating"
                )
                for name, state in states.items()
            ]
            self.api.merge(f"{_SLICES}/web-{family}", {"endpoints": endpoints})

    # --- what comes of it -----------------------------------------------------------------------

    def origins(self, family: int) -> list[set[int]]:
        """Return by ToR the ASNs of nodes that it has the address from, on their own sessions."""
        word, length = ("ipv4", 32) if family == 4 else ("ipv6", 128)
        found = []
        for tor in self.fabric.tors:
            table = tor.show(f"bgp {word} unicast {VIPS[family]}/{length}")
            paths = [p.get("aspath", {}).get("string", "") for p in table.get("paths", ())]
            found.append({int(path) for path in paths if path.isdigit()})
        return found

    def wait_announced_by(self, *hosts: Host) -> None:
        """Wait until both ToRs have both addresses from exactly these nodes."""
        wanted = {host.asn for host in hosts}

        def probe() -> bool:
            seen = {family: self.origins(family) for family in VIPS}
            if any(asns != wanted for by_tor in seen.values() for asns in by_tor):
                told = {h.name: h.podroute("services") for h in self.hosts}
                raise NotYetError(f"wanted {wanted}, seen {seen}, {told}")
            return True

        wait_until(probe, deadline_s=10, what=f"the addresses come from {wanted}")

    def ask(self, host: Host) -> list[dict[str, Any]]:
        return list(json.loads(host.podroute("services", "-o", "json"))["services"])

    @contextmanager
    def probing(self, family: int) -> Iterator[Probe]:
        """Connect from the client all the while."""
        probe = Probe(self.client, VIPS[family])
        try:
            yield probe
        finally:
            probe.close()


def write(node: Node, path: str, text: str) -> None:
    """Put a file into a node, whole or not at all."""
    script = 'cat > "$1.new" && mv "$1.new" "$1"'
    node.run(["sh", "-ec", script, "sh", path], input=text)


@contextmanager
def shop() -> Iterator[Shop]:
    with Lab.up(TOPOLOGY) as lab:
        made = Shop(lab)
        try:
            made.start()
            yield made
        finally:
            made.close()
