"""Scene: dual-tor with podroute's daemons and a pod on each node, and the doctor asked there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import yaml

from containerlab.demo.daemon import Daemon
from containerlab.demo.fabric import TOPOLOGY, Fabric, Host, wait_for
from containerlab.demo.kubernetes_api import ApiServer, join_management_network
from containerlab.demo.tor import Tor
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from containerlab.situations.situation import Finding, Situation

CONFIG: Final = "/run/agent.yaml"
START: Final = ("router", "--config", CONFIG)
RUN_DIR: Final = "/run/podroute"
CONF_DIR: Final = "/run/cni-conf"
_KUBECONFIG: Final = "/run/kubeconfig"
_DIRECTORIES: Final = ("--conf-dir", CONF_DIR)
_DISK: Final = "size=48m"
NAMED_S: Final = 60.0
MENDED_S: Final = 60.0


class Scene:
    """A running fabric; situations leave it healthy."""

    def __init__(self, lab: Lab) -> None:
        """Take over a lab just brought up."""
        self.fabric = Fabric(lab)
        self.hosts = self.fabric.hosts
        self.tors = self.fabric.tors
        self.bfd = Daemon(self.hosts[0].node, "bfd", ["bfd"])

    @classmethod
    @contextmanager
    def up(cls) -> Iterator[Scene]:
        """Bring everything up for the time of the block."""
        with Lab.up(TOPOLOGY) as lab:
            scene = cls(lab)
            scene.fabric.wait_routers()
            for host in scene.hosts:
                # A disk of its own, small enough to be filled.
                host.node.run(["mkdir", "-p", RUN_DIR])
                host.node.run(["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", RUN_DIR])
                scene.write_config(host)
                host.agent.start(*START)
                host.cni.start()
                install = ("cni", "install", "--bin-dir", "/run/bin", *_DIRECTORIES)
                host.podroute(*install)
            for host in scene.hosts:
                scene.fabric.wait_whole(host)
                host.runtime.make_pod(f"{host.name}-pod")
            yield scene

    # --- what situations change ------------------------------------------------------------------

    def write_config(self, host: Host, **changes: Any) -> None:
        """Have a host's configuration as in its file, but for *changes*."""
        script = f"cat > {CONFIG}.new && mv {CONFIG}.new {CONFIG}"
        host.node.run(["sh", "-ec", script], input=yaml.safe_dump({**host.config, **changes}))

    @contextmanager
    def configured(self, host: Host, **changes: Any) -> Iterator[None]:
        """Have a host's configuration changed for the time of the block."""
        self.write_config(host, **changes)
        try:
            yield
        finally:
            self.write_config(host)

    def peers(self, **changes: Any) -> list[dict[str, Any]]:
        """Return node1's peers, the first one (tor1, IPv4) changed."""
        first, *others = self.hosts[0].config["peers"]
        return [{**first, **changes}, *others]

    def restart_agent(self, host: Host, *arguments: str, under: Sequence[str] = ()) -> None:
        """End a host's agent and start it again, with *arguments* if there are any."""
        host.agent.terminate()
        host.agent.start(*(arguments or START), under=under)

    @contextmanager
    def cluster(self) -> Iterator[ApiServer]:
        """Have an API server for the time of the block, and node1's agent in cluster mode."""
        host = self.hosts[0]
        join_management_network(self.fabric.lab)
        api = ApiServer(self.fabric.client)
        try:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": host.name}}
            api.request("POST", "/api/v1/nodes", node)
            cidrs = [str(network) for network in host.pod_cidrs]
            spec = {"podCIDR": cidrs[0], "podCIDRs": cidrs}
            api.merge(f"/api/v1/nodes/{host.name}", {"spec": spec})
            host.node.run(["tee", _KUBECONFIG], input=api.kubeconfig(host.name))
            words = ("--kubernetes", "--kubeconfig", _KUBECONFIG, "--node", host.name)
            self.restart_agent(host, *START, *words)
            self.wait_healthy()
            yield api
        finally:
            self.restart_agent(host)
            api.close()
            for each in self.hosts:
                each.node.run(["ip", "link", "delete", "eth0"])
            self.fabric.client.run(["ip", "addr", "del", "192.0.2.100/32", "dev", "lo"])

    # --- asking ----------------------------------------------------------------------------------

    def doctor(self, host: Host) -> tuple[list[Finding], list[str]]:
        """Return what the doctor finds, and what it could not look at."""
        words = ["podroute", "doctor", "-o", "json", *_DIRECTORIES]
        done = host.node.run(words, check=False, timeout_s=60)
        answer = json.loads(done.stdout)
        return answer["findings"], answer["not_looked_at"]

    def named_after_s(self, situation: Situation) -> float:
        """Wait until the doctor names the cause first; return when it was asked, in seconds."""
        host = self.hosts[situation.host]
        began = time.monotonic()
        asked: list[float] = []

        def probe() -> str:
            asked.append(time.monotonic())
            return situation.why_not(self.doctor(host)[0])

        wait_for(probe, deadline_s=NAMED_S, what=f"{situation.name} named on {host.name}")
        return asked[-1] - began

    def wait_healthy(self, *hosts: Host) -> None:
        """Wait until no doctor of these nodes, or of any, finds anything."""
        for host in hosts or self.hosts:

            def probe(host: Host = host) -> str:
                found, unseen = self.doctor(host)
                return "; ".join([*(f"{each['name']}: {each['text']}" for each in found), *unseen])

            wait_for(probe, deadline_s=MENDED_S, what=f"nothing found on {host.name}")


@contextmanager
def by_shell(node: Node, breaking: str, mending: str) -> Iterator[None]:
    """Break something on a node by one command, and mend it by another."""
    node.run(["sh", "-ec", breaking])
    try:
        yield
    finally:
        node.run(["sh", "-ec", mending])


def tell(tor: Tor, *lines: str) -> None:
    """Enter lines in an FRR's configuration."""
    commands = ["configure terminal", *lines]
    tor.node.run(["vtysh", *(word for line in commands for word in ("-c", line))])
