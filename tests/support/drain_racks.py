"""Racks in which a node or a ToR leaves: agents, real routers, and a server behind both ways."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.netns import Namespace, join
from tests.support.router import Neighbor, RouterConfig
from tests.support.wait import NotYetError, wait_until

PODROUTE = Path(sys.executable).with_name("podroute")
SHARED = "10.244.200.0/24"
SERVER = "10.244.200.10"
HOLD_S = 3
MakeNamespace = Callable[[str], Namespace]


class Rack(Protocol):
    """Routers, agents and cables."""

    def start(self) -> None: ...

    def close(self) -> None: ...


class Agent:
    """`podroute router` in a namespace, with a state directory of its own."""

    def __init__(self, namespace: Namespace, config: dict[str, Any]) -> None:
        self.namespace = namespace
        self._process: subprocess.Popen[str] | None = None
        namespace.run(["tee", "/run/podroute.yaml"], input=yaml.safe_dump(config))

    def start(self) -> None:
        run = f"exec {PODROUTE} --state-dir /run/state router --config /run/podroute.yaml"
        self._process = self.namespace.popen(
            ["sh", "-c", f"{run} >>/run/podroute.log 2>&1"], stdout=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self.namespace.kill(self._process)
            self._process.wait(timeout=10)

    def podroute(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.namespace.run([PODROUTE, *words], check=False, timeout_s=30)

    def ask(self, what: str) -> Any:
        done = self.podroute(what, "-o", "json")
        if done.returncode:
            raise NotYetError(done.stderr)
        return json.loads(done.stdout)


def connect(left: Namespace, left_if: str, right: Namespace, right_if: str, net: str) -> None:
    """Join two namespaces; the left has .2 of a /31, the right .3."""
    join(left, left_if, right, right_if)
    left.run(["ip", "address", "add", f"{net}.2/31", "dev", left_if])
    right.run(["ip", "address", "add", f"{net}.3/31", "dev", right_if])


class TwoNodes:
    """client - tor - node1, node2 - server: both nodes announce the server's network.

    The ToR hears one node more gladly than the other only when a drain tells it so.
    """

    def __init__(self, make: MakeNamespace, kind: str) -> None:
        self.client, self.tor, self.server = make("client"), make("tor"), make("server")
        self.nodes = [make("node1"), make("node2")]
        connect(self.client, "tor", self.tor, "client", "10.9.0")
        self.client.run(["ip", "route", "add", "default", "via", "10.9.0.3"])
        self.server.run(["ip", "address", "add", f"{SERVER}/32", "dev", "lo"])
        for index, node in enumerate(self.nodes, 1):
            connect(self.tor, f"node{index}", node, "tor", f"10.0.{index}")
            connect(self.server, f"node{index}", node, "server", f"10.8.{index}")
            node.run(["ip", "route", "add", f"{SERVER}/32", "via", f"10.8.{index}.2"])
        for router in (self.tor, *self.nodes):
            router.write_sysctl("net.ipv4.ip_forward", 1)
        # Flows, not pairs of addresses: else all take the same way.
        self.tor.write_sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        self.server.write_sysctl("net.ipv4.conf.all.rp_filter", 0)
        config = RouterConfig(
            asn=65100,
            router_id="10.255.0.1",
            neighbors=[
                Neighbor(address=f"10.0.{i}.3", remote_asn=65201, hold_time_s=HOLD_S)
                for i in (1, 2)
            ],
        )
        self.router: Frr | Bird = (Frr if kind == "frr" else Bird)(self.tor, config)
        self.agents = [Agent(node, self._config(i)) for i, node in enumerate(self.nodes, 1)]

    @staticmethod
    def _config(index: int) -> dict[str, Any]:
        return {
            "node": f"node{index}",
            "router_id": f"10.255.1.{index}",
            "local_asn": 65201,
            "pod_cidrs": [f"10.244.{index}.0/24", SHARED],
            "cluster": {"pod_prefixes": ["10.244.0.0/16"]},
            "peers": [
                {
                    "name": "tor",
                    "address": f"10.0.{index}.2",
                    "remote_asn": 65100,
                    "hold_time_s": HOLD_S,
                }
            ],
        }

    def start(self) -> None:
        self.router.start()
        for agent in self.agents:
            agent.start()
        for index in (1, 2):
            self.router.wait_established(f"10.0.{index}.3", deadline_s=30)
        wait_until(self._has_both, deadline_s=15, what="the ToR knows both nodes")
        wait_until(self.legs, deadline_s=10, what="the ToR's kernel has a way")

    def close(self) -> None:
        for ending in (*(agent.kill for agent in self.agents), self.router.stop):
            ending()

    def _has_both(self) -> bool:
        return all(SHARED in self.router.received(f"10.0.{i}.3") for i in (1, 2))

    def legs(self, prefix: str = SHARED) -> set[str]:
        """Return over which nodes the ToR's kernel sends."""
        shown = json.loads(self.tor.run(["ip", "-j", "route", "show", prefix]).stdout or "[]")
        return {hop["dev"] for route in shown for hop in route.get("nexthops", [route])}

    def carried(self, index: int) -> int:
        """Return how many packets a node has had from the ToR."""
        file = "/sys/class/net/tor/statistics/rx_packets"
        return int(self.nodes[index - 1].run(["cat", file]).stdout)

    def power_off(self, index: int) -> None:
        """End the node without a word: everything dies at once, and its link stays up."""
        node = self.nodes[index - 1]
        node.run(["ip", "address", "flush", "dev", "tor"])
        node.run(["ip", "address", "flush", "dev", "server"])
        self.agents[index - 1].kill()


class TwoTors:
    """node - tor1, tor2 - server: both ToRs announce the server's network to the node."""

    def __init__(self, make: MakeNamespace) -> None:
        self.node, self.server = make("node"), make("server")
        self.tors = [make("tor1"), make("tor2")]
        self.routers: list[Frr] = []
        self.server.run(["ip", "address", "add", f"{SERVER}/32", "dev", "lo"])
        for index, tor in enumerate(self.tors, 1):
            connect(tor, "node", self.node, f"tor{index}", f"10.0.{index}")
            connect(self.server, f"tor{index}", tor, "server", f"10.8.{index}")
            tor.write_sysctl("net.ipv4.ip_forward", 1)
            config = RouterConfig(
                asn=65100 + index,
                router_id=f"10.255.0.{index}",
                neighbors=[
                    Neighbor(address=f"10.0.{index}.3", remote_asn=65201, hold_time_s=HOLD_S)
                ],
                networks=[SHARED],
            )
            self.routers.append(Frr(tor, config))
            tor.run(["ip", "route", "add", f"{SERVER}/32", "via", f"10.8.{index}.2"])
        self.server.write_sysctl("net.ipv4.conf.all.rp_filter", 0)
        self.node.write_sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        self.agent = Agent(
            self.node,
            {
                "node": "node1",
                "router_id": "10.255.1.1",
                "local_asn": 65201,
                "cluster": {"pod_prefixes": ["10.244.0.0/16"]},
                "peers": [
                    {
                        "name": f"tor{i}",
                        "address": f"10.0.{i}.2",
                        "remote_asn": 65100 + i,
                        "hold_time_s": HOLD_S,
                    }
                    for i in (1, 2)
                ],
            },
        )

    def start(self) -> None:
        for router in self.routers:
            router.start()
        self.agent.start()
        wait_until(lambda: self.legs() == {"tor1", "tor2"}, deadline_s=30, what="both ToRs used")

    def close(self) -> None:
        for ending in (self.agent.kill, *(router.stop for router in self.routers)):
            ending()

    def legs(self) -> set[str]:
        shown = json.loads(self.node.run(["ip", "-j", "route", "show", SHARED]).stdout or "[]")
        return {hop["dev"] for route in shown for hop in route.get("nexthops", [route])}

    def break_tor1(self) -> None:
        """Let the first ToR forward nothing any more, without a word."""
        self.tors[0].run(["ip", "address", "flush", "dev", "node"])
        self.tors[0].write_sysctl("net.ipv4.ip_forward", 0)
