"""Pods without a container: a network namespace in a node, attached by the plugin's executable.

Pod is a Place for probe programs; Runtime plays the container runtime's part of the CNI
specification 1.0.0 (section 3): environment, configuration on standard input, result on standard
output, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Any

from containerlab.netlab.node import Node

BIN_DIR = "/opt/cni/bin"
PLUGIN = f"{BIN_DIR}/podroute"
CNI_VERSION = "1.0.0"
NETWORK = {"cniVersion": CNI_VERSION, "name": "podroute", "type": "podroute"}
IFNAME = "eth0"


class PluginError(RuntimeError):
    """The plugin answered what the specification does not allow, or an error."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pod:
    """A pod's network namespace; ``addresses`` as the plugin's result told them."""

    node: Node
    name: str
    container_id: str
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    add_ms: float = 0.0

    @property
    def netns(self) -> str:
        """The path a runtime would hand over; it exists inside the node only."""
        return f"/run/netns/{self.name}"

    def address(self, family: int) -> str:
        """Return the pod's address of a family (4 or 6)."""
        return next(str(address) for address in self.addresses if address.version == family)

    def popen(
        self, argv: Sequence[str], *, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[str]:
        """Start a program in the pod."""
        enter = ["ip", "netns", "exec", self.name]
        return self.node.popen([*enter, *argv], stdin=stdin, stdout=stdout, stderr=stderr)


class Runtime:
    """The container runtime of one node."""

    def __init__(self, node: Node) -> None:
        """Take over *node*, where the plugin is installed already."""
        self._node = node

    def make_pod(self, name: str) -> Pod:
        """Create a sandbox and attach it; PluginError unless the result is as specified.

        A sandbox that could not be attached is detached and removed again, as runtimes do.
        """
        container_id = hashlib.sha256(f"{self._node.name}/{name}".encode()).hexdigest()
        pod = Pod(node=self._node, name=name, container_id=container_id)
        self._node.run(["ip", "netns", "add", name])
        self._node.run(["ip", "-n", name, "link", "set", "lo", "up"])
        start = time.monotonic()
        try:
            result = self._call("ADD", pod)
            took_ms = (time.monotonic() - start) * 1000
            addresses = _addresses(result, pod)
        except PluginError:
            self.remove_pod(pod)
            raise
        return Pod(
            node=self._node,
            name=name,
            container_id=container_id,
            addresses=addresses,
            add_ms=took_ms,
        )

    def remove_pod(self, pod: Pod) -> None:
        """Detach a pod and destroy its sandbox; PluginError if DEL did not succeed."""
        try:
            self._call("DEL", pod)
        finally:
            self._node.run(["ip", "netns", "delete", pod.name])

    def _call(self, command: str, pod: Pod) -> Any:
        environment = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": pod.container_id,
            "CNI_NETNS": pod.netns,
            "CNI_IFNAME": IFNAME,
            "CNI_PATH": BIN_DIR,
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=demo;K8S_POD_NAME={pod.name}",
        }
        done = self._node.run(
            [PLUGIN], input=json.dumps(NETWORK), env=environment, check=False, timeout_s=60
        )
        what = f"{command} {pod.node.name}/{pod.name}"
        if done.returncode:
            raise PluginError(f"{what}: exit {done.returncode}: {done.stdout}{done.stderr}".strip())
        if command == "DEL":
            if done.stdout:
                raise PluginError(f"{what}: DEL must print nothing, got {done.stdout!r}")
            return None
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise PluginError(f"{what}: the result is not JSON: {done.stdout!r}") from None


def _addresses(result: Any, pod: Pod) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses of an ADD result, one of each family."""
    what = f"ADD {pod.node.name}/{pod.name}: result {json.dumps(result)}"
    if result.get("cniVersion") != CNI_VERSION:
        raise PluginError(f"{what}: not of cniVersion {CNI_VERSION}")
    interfaces = result.get("interfaces", [])
    found = []
    for entry in result.get("ips", []):
        interface = interfaces[entry["interface"]]
        if (interface["name"], interface.get("sandbox")) != (IFNAME, pod.netns):
            raise PluginError(f"{what}: {entry['address']} is not on the sandbox's {IFNAME}")
        found.append(ip_interface(entry["address"]).ip)
    if sorted(address.version for address in found) != [4, 6]:
        raise PluginError(f"{what}: not one address of each family")
    return tuple(found)


def command_line(pod: Pod, *argv: str) -> str:
    """Return what a person types inside the node to run *argv* in the pod."""
    return shlex.join(["ip", "netns", "exec", pod.name, *argv])
