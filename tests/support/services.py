"""A fabric whose agents read Services, servers in pods, and kube-proxy's rules on the nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import product
from typing import Any

import yaml

from containerlab.demo.fabric import TOPOLOGY, Fabric, Host, usable_legs
from containerlab.demo.kubernetes_api import ApiServer, join_management_network
from containerlab.demo.pod import Pod
from containerlab.fakeapi import objects
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from tests.support.connections import Probe
from tests.support.kube_proxy import KubeProxy, Mode
from tests.support.service_port import Endpoint, ServicePort
from tests.support.wait import NotYetError, wait_until
from tests.support.who_answers import SERVER

VIPS = {4: "203.0.113.7", 6: "2001:db8:cafe::7"}
HOST_PREFIXES = (f"{VIPS[4]}/32", f"{VIPS[6]}/128")
POD_PREFIXES = ("10.244.0.0/16", "fd00:244::/32")
PORT, TARGET = 80, 8080
RESTART_S = 16
_CONFIG, _KUBECONFIG = "/run/services.yaml", "/run/kubeconfig"
_SERVICES = "/api/v1/namespaces/shop/services"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A Service, as the test wants it."""

    name: str = "web"
    vips: Mapping[int, str] = field(default_factory=lambda: VIPS)
    policy: str = "Local"
    protocols: tuple[str, ...] = ("tcp", "udp")


class Shop:
    """Nodes with a pod each that serves; the Services in front of them are the test's."""

    def __init__(self, lab: Lab, *, nodes: int = 2, settings: Mapping[str, Any] | None = None):
        """Take over a lab just brought up; `settings` go into the agents' configuration."""
        self.fabric = Fabric(lab)
        self.hosts = self.fabric.hosts[:nodes]
        self.client = self.fabric.client
        join_management_network(lab)
        self.api = ApiServer(self.client)
        self.pods: dict[str, Pod] = {}
        self.servers: dict[str, subprocess.Popen[str]] = {}
        self.offers: dict[str, Offer] = {}
        self.states: dict[str, Mapping[str, str]] = {}
        """By Service the endpoints: node -> "ready" or "terminating"."""
        self._proxies: dict[str, KubeProxy] = {}
        self._settings = dict(settings or {"announce": {"services": {"load_balancer": True}}})

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
        self.use_rules(Mode.NFTABLES)

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
        self.configure(host, self._settings)
        write(host.node, _KUBECONFIG, self.api.kubeconfig(host.name))

    def configure(self, host: Host, settings: Mapping[str, Any]) -> None:
        """Write an agent's configuration, which a running one follows."""
        # An agent that is restarted without the API waits for it for half of this.
        config = {**host.config, "graceful_restart_s": RESTART_S}
        for section, values in settings.items():
            config[section] = {**config[section], **values}
        write(host.node, _CONFIG, yaml.safe_dump(config))

    def close(self) -> None:
        for server in self.servers.values():
            server.kill()
            server.communicate()
        self.api.close()

    # --- servers, and kube-proxy's rules --------------------------------------------------------

    def serve(self, host: Host) -> None:
        """Start the pod's server."""
        pod = self.pods[host.name]
        self.servers[host.name] = pod.popen(
            [sys.executable, "-c", SERVER, host.name, str(TARGET)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def use_rules(self, mode: Mode | None) -> None:
        """Put the rules of a mode of kube-proxy on every node; None leaves it without any."""
        for proxy in self._proxies.values():
            proxy.clear()
        self._proxies.clear()
        if mode is not None:
            self._proxies = {h.name: KubeProxy(h.node, mode, POD_PREFIXES) for h in self.hosts}
        self.sync()

    def sync(self) -> None:
        """Make the rules say what the API is about to say: kube-proxy is not the slower one here.

        When it is, a node announces an address that kube-proxy there does not serve yet.
        """
        for name, proxy in self._proxies.items():
            proxy.sync(self._ports(name))

    def _ports(self, node: str) -> Iterator[ServicePort]:
        """Return the ports of all Services, as kube-proxy on a node sees them."""
        for offer in self.offers.values():
            states = self.states.get(offer.name, {})
            for (family, vip), protocol in product(offer.vips.items(), offer.protocols):
                endpoints = [
                    Endpoint(
                        address=self.pods[where].address(family),
                        port=TARGET,
                        is_local=where == node,
                        is_ready=state == "ready",
                    )
                    for where, state in states.items()
                ]
                yield ServicePort(
                    name=f"shop/{offer.name}:web",
                    vips=(vip,),
                    protocol=protocol,
                    is_local=offer.policy == "Local",
                    endpoints=tuple(endpoints),
                )

    def kill_server(self, host: Host) -> None:
        """End the pod's server; the rules stay."""
        server = self.servers.pop(host.name)
        server.kill()
        server.communicate()

    # --- the API --------------------------------------------------------------------------------

    def make_service(self, offer: Offer) -> None:
        spec = {"externalTrafficPolicy": offer.policy}
        made = objects.service(offer.name, ingress=tuple(offer.vips.values()), spec=spec)
        self.api.request("POST", _SERVICES, made)
        # The load balancer's controller writes through the other door.
        self.api.merge(f"{_SERVICES}/{offer.name}/status", {"status": made["status"]})
        for family in offer.vips:
            slice_ = objects.endpoint_slice(f"{offer.name}-{family}", offer.name, [], family=family)
            self.api.request("POST", _SLICES, slice_)
        self.offers[offer.name] = offer
        self.sync()

    def set_endpoints(self, service: str = "web", **states: str) -> None:
        """Set the endpoints, by node "ready" or "terminating"."""
        self.states[service] = states
        self.sync()
        for family in self.offers[service].vips:
            endpoints = [
                objects.endpoint(
                    self.pods[name].address(family), name, terminating=state == "terminating"
                )
                for name, state in states.items()
            ]
            self.api.merge(f"{_SLICES}/{service}-{family}", {"endpoints": endpoints})

    # --- what comes of it -----------------------------------------------------------------------

    def origins(self, prefix: str) -> list[set[int]]:
        """Return by ToR the ASNs of nodes that it has the prefix from, on their own sessions."""
        word = "ipv6" if ":" in prefix else "ipv4"
        found: list[set[int]] = []
        for tor in self.fabric.tors:
            table = tor.show(f"bgp {word} unicast {prefix}")
            if table.get("prefix") != prefix:
                found.append(set())
                continue
            paths = [p.get("aspath", {}).get("string", "") for p in table.get("paths", ())]
            found.append({int(path) for path in paths if path.isdigit()})
        return found

    def wait_announced_by(self, *hosts: Host, prefixes: Iterable[str] = HOST_PREFIXES) -> None:
        """Wait until both ToRs have these prefixes from exactly these nodes."""
        wanted = {host.asn for host in hosts}

        def probe() -> bool:
            seen = {prefix: self.origins(prefix) for prefix in prefixes}
            if any(asns != wanted for by_tor in seen.values() for asns in by_tor):
                told = {h.name: h.podroute("services") for h in self.hosts}
                raise NotYetError(f"wanted {wanted}, seen {seen}, {told}")
            return True

        wait_until(probe, deadline_s=10, what=f"the prefixes come from {wanted}")

    def wait_kernels(self, *hosts: Host) -> None:
        """Wait until the ToRs and the client send to these nodes, and through both ToRs, only."""
        wanted = len(hosts)

        def probe() -> bool:
            for place, legs in (
                (self.client, len(self.fabric.tors)),
                *((tor.node, wanted) for tor in self.fabric.tors),
            ):
                for prefix in HOST_PREFIXES:
                    found = usable_legs(place, ip_network(prefix))
                    if found != legs:
                        raise NotYetError(f"{place.name}: {found} ways to {prefix}")
            return True

        wait_until(probe, deadline_s=10, what="the kernels of the fabric follow")

    def ask(self, host: Host) -> list[dict[str, Any]]:
        return list(json.loads(host.podroute("services", "-o", "json"))["services"])

    @contextmanager
    def probing(self, family: int) -> Iterator[Probe]:
        """Connect from the client all the while."""
        probe = Probe(self.client, VIPS[family], PORT)
        try:
            yield probe
        finally:
            probe.close()


def write(node: Node, path: str, text: str) -> None:
    """Put a file into a node, whole or not at all."""
    script = 'cat > "$1.new" && mv "$1.new" "$1"'
    node.run(["sh", "-ec", script, "sh", path], input=text)


@contextmanager
def shop(*, nodes: int = 2, settings: Mapping[str, Any] | None = None) -> Iterator[Shop]:
    with Lab.up(TOPOLOGY) as lab:
        made = Shop(lab, nodes=nodes, settings=settings)
        try:
            made.start()
            yield made
        finally:
            made.close()
