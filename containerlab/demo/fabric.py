"""Fabric: the running dual-tor lab with podroute's daemons and the pods on its nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

from containerlab.demo.daemon import PODROUTE, Daemon
from containerlab.demo.pod import PLUGIN, Pod, Runtime
from containerlab.demo.tor import Network, Tor
from containerlab.netlab import Lab
from containerlab.netlab.node import Node

ROOT = Path(__file__).resolve().parents[2]
TOPOLOGY = ROOT / "containerlab/dual-tor/dual-tor.clab.yml"
SHIM = ROOT / "cni/shim/podroute"
CONFIG = "/etc/podroute/config.yaml"
NODES = ("node1", "node2", "node3")
TORS = ("tor1", "tor2")
FAMILIES = (4, 6)
CLIENT_ADDRESSES: Mapping[int, str] = {4: "198.51.100.10", 6: "2001:db8:51::10"}


class WaitError(RuntimeError):
    """Something did not become so in time."""


def wait_for(probe: Callable[[], str], *, deadline_s: float, what: str) -> None:
    """Return once *probe* answers ""; WaitError with its last words after *deadline_s*."""
    end = time.monotonic() + deadline_s
    while words := probe():
        if time.monotonic() > end:
            raise WaitError(f"{what}: not within {deadline_s:g} s: {words}")
        time.sleep(0.02)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Host:
    """A node that runs podroute: its configuration file read, its daemons, its pods."""

    node: Node
    config: Mapping[str, Any]
    cni: Daemon
    agent: Daemon
    runtime: Runtime
    pods: list[Pod] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def asn(self) -> int:
        """The node's own ASN."""
        return int(self.config["local_asn"])

    @property
    def pod_cidrs(self) -> tuple[Network, ...]:
        """The node's pod CIDRs."""
        return tuple(ip_network(text) for text in self.config["pod_cidrs"])

    @property
    def session_addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The ToR's addresses that this node's configuration names as peers."""
        return tuple(ip_address(peer["address"]) for peer in self.config["peers"])

    def address(self, family: int) -> str:
        """Return the node's own address of a family."""
        addresses = map(ip_address, self.config["node_addresses"])
        return next(str(address) for address in addresses if address.version == family)

    def podroute(self, *arguments: str) -> str:
        """Run the operator's command on the node and return what it prints."""
        return self.node.run([PODROUTE, *arguments], timeout_s=30).stdout


class Fabric:
    """A lab that is up, with what the demo puts on it."""

    def __init__(self, lab: Lab) -> None:
        """Take over a lab just brought up; installs the plugin, starts nothing."""
        self.lab = lab
        self.hosts = tuple(host_of(lab.nodes[name]) for name in NODES)
        self.tors = tuple(Tor(lab.nodes[name]) for name in TORS)
        self.client = lab.nodes["client"]

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods, in the order of the nodes."""
        return tuple(pod for host in self.hosts for pod in host.pods)

    @property
    def pids(self) -> tuple[int, ...]:
        """The pids of the nodes' inits."""
        return tuple(node.pid for node in self.lab.nodes.values())

    def wait_routers(self) -> None:
        """Wait until the client's router has its sessions with both ToRs."""

        def probe() -> str:
            established = Tor(self.client).established()
            wanted = len(self.tors) * len(FAMILIES)
            return "" if len(established) == wanted else f"{len(established)} of {wanted} are up"

        wait_for(probe, deadline_s=30, what="the routers' own sessions")

    def why_not_fresh(self, host: Host, *, since_epoch: float) -> str:
        """Return "" if both ToRs hold the host's pod CIDRs as fresh BGP routes, else why not."""
        reasons = (
            tor.why_not_fresh(network, host.asn, since_epoch=since_epoch)
            for tor in self.tors
            for network in host.pod_cidrs
        )
        return "; ".join(filter(None, reasons))

    def wait_fresh(self, host: Host, *, since_epoch: float, deadline_s: float = 30) -> None:
        """Wait until ``why_not_fresh`` has nothing to say."""
        wait_for(
            lambda: self.why_not_fresh(host, since_epoch=since_epoch),
            deadline_s=deadline_s,
            what=f"{host.name}'s pod CIDRs fresh on both ToRs",
        )

    def why_not_whole(self, host: Host) -> str:
        """Return "" if *host* has two legs to the pod CIDRs of all others, else which lack one."""
        counts = {
            network: usable_legs(host.node, network)
            for other in self.hosts
            if other is not host
            for network in other.pod_cidrs
        }
        return ", ".join(f"{net} has {n}" for net, n in counts.items() if n != len(TORS))

    def wait_whole(self, host: Host, *, deadline_s: float = 30) -> None:
        """Wait until every learned pod CIDR has two legs in the kernel of *host*."""
        wait_for(
            lambda: self.why_not_whole(host),
            deadline_s=deadline_s,
            what=f"{host.name}: two legs to every pod CIDR",
        )


def usable_legs(node: Node, network: Network) -> int:
    """Count the next hops of a node's route to exactly *network* whose link is up."""
    command = ["ip", f"-{network.version}", "-j", "route", "show", "exact", str(network)]
    routes = json.loads(node.run(command).stdout or "[]")
    hops = [hop for route in routes for hop in route.get("nexthops", [route])]
    return sum(1 for hop in hops if not {"dead", "linkdown"} & set(hop.get("flags", ())))


def host_of(node: Node) -> Host:
    """Return the podroute side of a node: its file read, the plugin installed, nothing started."""
    config = yaml.safe_load(node.run(["cat", CONFIG]).stdout)
    node.run(["install", "-D", "-m", "755", SHIM, PLUGIN])
    return Host(
        node=node,
        config=config,
        cni=Daemon(node, "cni", ["cni"]),
        agent=Daemon(node, "router", ["router", "--config", CONFIG]),
        runtime=Runtime(node),
    )
