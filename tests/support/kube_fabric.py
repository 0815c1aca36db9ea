"""The dual-tor fabric as a cluster: a fake API server, agents that read it, kube-proxy's rules.

What kubelet and people do to Nodes, the tests do through the API, as they would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any, Final

import yaml

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.fabric import FAMILIES, NODES, TOPOLOGY, Fabric, Host
from containerlab.demo.kubernetes_api import ApiServer, join_management_network
from containerlab.demo.pod import Pod
from containerlab.demo.tor import Tor
from containerlab.fakeapi import objects
from containerlab.measure.flows import PORT
from containerlab.netlab import Lab
from tests.support.kube_proxy import KubeProxy, Mode
from tests.support.service_port import Endpoint, ServicePort
from tests.support.services import write
from tests.support.wait import NotYetError, wait_until

VIPS: Final = {4: "203.0.113.7", 6: "2001:db8:cafe::7"}
SHUTDOWN: Final = "node is shutting down"
_CONFIG, _KUBECONFIG, _ALONE = "/run/cluster.yaml", "/run/kubeconfig", "/run/alone.yaml"
_SERVICES = "/api/v1/namespaces/shop/services"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
_POD_CIDRS = ("10.244.0.0/16", "fd00:244::/32")


class KubeFabric:
    """Three nodes, two ToRs, a client; nothing runs until a test starts it."""

    def __init__(self, lab: Lab) -> None:
        self.fabric = Fabric(lab)
        join_management_network(lab)
        self.api = ApiServer(self.fabric.client)
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})

    def close(self) -> None:
        self.api.close()

    def host(self, name: str) -> Host:
        return self.fabric.hosts[NODES.index(name)]

    # --- nodes -----------------------------------------------------------------------------------

    def register(self, host: Host, pod_cidrs: Sequence[str] = ()) -> None:
        """Make its Node, with its own pod CIDRs if no others are given."""
        cidrs = tuple(pod_cidrs) or tuple(map(str, host.pod_cidrs))
        addresses = tuple(map(str, host.config["node_addresses"]))
        made = objects.node(host.name, pod_cidrs=cidrs, addresses=addresses)
        self.api.request("POST", "/api/v1/nodes", made)

    def delete_node(self, name: str) -> None:
        self.api.request("DELETE", f"/api/v1/nodes/{name}")

    def annotate(self, host: Host, **annotations: str | None) -> None:
        """Set annotations of ours; None takes one away."""
        said = {f"podroute.dev/{k.replace('_', '-')}": text for k, text in annotations.items()}
        self.api.merge(f"/api/v1/nodes/{host.name}", {"metadata": {"annotations": said}})

    def say_ready(self, host: Host, message: str = "") -> None:
        """Be kubelet: ready, or not for a reason."""
        said = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "is ready"}
        if message:
            said |= {"status": "False", "reason": "KubeletNotReady", "message": message}
        self.api.set_condition(host.name, said)

    def lists_of_nodes(self) -> int:
        """Count the lists of all Nodes (their first pages) that agents asked for so far."""
        return sum(
            entry["verb"] == "list"
            and entry["path"] == "/api/v1/nodes"
            and "limit=" in entry["query"]
            and "continue=" not in entry["query"]
            for entry in self.api.do("requests")
        )

    # --- daemons ---------------------------------------------------------------------------------

    def start_agent(self, host: Host, *, services: bool = True) -> None:
        """Start it in cluster mode: pod CIDRs come from the Node."""
        config = {k: v for k, v in host.config.items() if k != "pod_cidrs"}
        if services:
            config["announce"] = {**config["announce"], "services": {"load_balancer": True}}
        write(host.node, _CONFIG, yaml.safe_dump(config))
        write(host.node, _KUBECONFIG, self.api.kubeconfig(host.name))
        host.agent.start(
            "--state-dir", "/run/state", "router", "--config", _CONFIG, "--kubernetes",
            "--kubeconfig", _KUBECONFIG, "--node", host.name,
        )  # fmt: skip

    def start_agent_alone(self, host: Host, pod_cidrs: Sequence[str]) -> None:
        """Start it without an API, with these pod CIDRs."""
        write(host.node, _ALONE, yaml.safe_dump({**host.config, "pod_cidrs": [*pod_cidrs]}))
        host.agent.start("--state-dir", "/run/state", "router", "--config", _ALONE)

    def status(self, host: Host) -> dict[str, Any]:
        """Return what `podroute status` says; NotYetError while there is no agent."""
        done = host.node.run([PODROUTE, "status", "-o", "json"], check=False, timeout_s=30)
        if done.returncode:
            raise NotYetError(f"{done.stderr} {host.agent.log_tail()}")
        return dict(json.loads(done.stdout))

    def wait_phase(self, host: Host, phase: str, deadline_s: float = 20) -> None:
        def probe() -> bool:
            seen = self.status(host)["drain"]
            if seen["phase"] != phase:
                raise NotYetError(seen)
            return True

        wait_until(probe, deadline_s=deadline_s, what=f"{host.name}: the drain is {phase}")

    def wait_claims(self, host: Host, state: str, pod_cidrs: Sequence[str]) -> None:
        """Wait until the node has a claim to exactly these pod CIDRs, all in this state."""

        def probe() -> bool:
            listed = self.status(host)["pod_cidr_claims"]
            claims = {each["prefix"]: each["state"] for each in listed}
            if claims != dict.fromkeys(pod_cidrs, state):
                raise NotYetError(f"{claims}, {host.agent.log_tail()}")
            return True

        wait_until(probe, deadline_s=30, what=f"{host.name}: {pod_cidrs} are {state}")

    def wait_reasons(self, host: Host, text: str, *, told: bool = True) -> None:
        """Wait until the node's status gives a reason with this text, or none any more."""

        def probe() -> bool:
            reasons = self.status(host)["reasons"]
            if any(text in reason for reason in reasons) is not told:
                raise NotYetError(reasons)
            return True

        wait_until(probe, deadline_s=15, what=f"{host.name}: status tells {text!r}: {told}")

    def make_pod(self, host: Host, name: str) -> Pod:
        """Give it a pod as soon as it knows its pod CIDRs."""
        facts = ["test", "-e", "/run/podroute/node.json"]

        def probe() -> bool:
            if host.node.run(facts, check=False).returncode:
                raise NotYetError(host.agent.log_tail())
            return True

        wait_until(probe, deadline_s=20, what=f"{host.name}: facts for pods")
        pod = host.runtime.make_pod(name)
        host.pods.append(pod)
        return pod

    # --- a Service -------------------------------------------------------------------------------

    def serve(self, pods: Sequence[Pod]) -> None:
        """Make a Service of policy Cluster with these endpoints, on every node."""
        made = objects.service(
            "web", ingress=tuple(VIPS.values()), spec={"externalTrafficPolicy": "Cluster"}
        )
        self.api.request("POST", _SERVICES, made)
        self.api.merge(f"{_SERVICES}/web/status", {"status": made["status"]})
        for family in FAMILIES:
            endpoints = [objects.endpoint(p.address(family), p.node.name) for p in pods]
            put = objects.endpoint_slice(f"web-{family}", "web", endpoints, family=family)
            self.api.request("POST", _SLICES, put)
        ports = [
            ServicePort(
                name="shop/web:web",
                vips=(VIPS[family],),
                port=PORT,
                protocol="udp",
                endpoints=tuple(Endpoint(address=p.address(family), port=PORT) for p in pods),
            )
            for family in FAMILIES
        ]
        for host in self.fabric.hosts:
            KubeProxy(host.node, Mode.NFTABLES, _POD_CIDRS).sync(ports)

    # --- what the ToRs have ----------------------------------------------------------------------

    def ways(self, tor: Tor, prefix: str) -> set[str]:
        """Return over which links the ToR's kernel sends to exactly this prefix."""
        routes = tor.kernel_routes(ip_network(prefix))
        return {str(hop["dev"]) for route in routes for hop in route.get("nexthops", [route])}

    def wait_ways(self, prefixes: Sequence[str], nodes: Sequence[str], deadline_s: float) -> None:
        """Wait until both ToRs send to each of them by exactly these nodes."""
        wanted = {f"eth{NODES.index(name) + 1}" for name in nodes}

        def probe() -> bool:
            seen = {
                f"{tor.node.name} {prefix}": self.ways(tor, prefix)
                for tor in self.fabric.tors
                for prefix in prefixes
            }
            if any(ways != wanted for ways in seen.values()):
                logs = {h.name: h.agent.log_tail(4) for h in self.fabric.hosts}
                raise NotYetError(f"wanted {wanted}, seen {seen}, {logs}")
            return True

        wait_until(probe, deadline_s=deadline_s, what=f"ways by {', '.join(nodes) or 'nobody'}")


@contextmanager
def kube_fabric() -> Iterator[KubeFabric]:
    """Bring it up for the time of the block."""
    with Lab.up(TOPOLOGY) as lab:
        made = KubeFabric(lab)
        try:
            made.fabric.wait_routers()
            yield made
        finally:
            made.close()
