"""A lab node in which real container runtimes make pods with the real plugin.

The node has podroute's daemons, the shim and Debian's plugins in /opt/cni/bin, and a root file
system for containers that holds nothing but busybox. Containers get cgroups below one parent of
this test run, because the hierarchy is the machine's; `cgroups` removes them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from pathlib import Path
from typing import Any, Final

from containerlab.demo.daemon import Daemon
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from containerlab.runtime.cgroups import cgroups
from tests.support.wait import NotYetError, wait_until

ROOT: Final = Path(__file__).resolve().parents[2]
SHIM: Final = ROOT / "cni/shim/podroute"
CNI_BIN: Final = "/opt/cni/bin"
CONFLIST: Final = "/etc/cni/net.d/05-podroute.conflist"
ROOTFS: Final = "/var/lib/podroute-test/rootfs"
CONFIG: Final = "/etc/podroute/config.yaml"
POD_LINKS: Final = "28786"
"""The link group of pod links (router.kernel.protocols)."""
PLAIN: Final[tuple[dict[str, Any], ...]] = ({"type": "podroute"},)
SLEEP: Final = ("/bin/busybox", "sleep", "100000")

_APPLETS: Final = ("cat", "ip", "mkdir", "ping", "sh", "sleep")
_DEBIAN_PLUGINS: Final = Path("/usr/lib/cni")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePod:
    """A pod as its runtime tells of it; `pid` counts in the node's pid namespace."""

    name: str
    id: str
    pid: int
    addresses: tuple[Address, ...]

    def address(self, family: int) -> str:
        """Return the pod's address of a family (4 or 6)."""
        return next(str(address) for address in self.addresses if address.version == family)


class RuntimeNode:
    """See above; wraps a node of a lab that is up."""

    def __init__(self, node: Node, cgroup_parent: str) -> None:
        """Install shim, Debian's plugins and the container's root file system; start nothing."""
        self.node = node
        self.cgroup_parent = cgroup_parent
        self.cni = Daemon(node, "cni", ["cni"])
        self.agent = Daemon(node, "router", ["router", "--config", CONFIG])
        script = f"""
            mkdir -p {CNI_BIN} /etc/cni/net.d {ROOTFS}/bin
            rm -f /etc/cni/net.d/*
            install -m 755 {SHIM} {CNI_BIN}/podroute
            ln -s {_DEBIAN_PLUGINS}/* {CNI_BIN}/
            cp /bin/busybox {ROOTFS}/bin/busybox
            cd {ROOTFS}; mkdir -p dev etc proc root run sys tmp var
            echo root:x:0:0:root:/root:/bin/sh > etc/passwd
            for name in {" ".join(_APPLETS)}; do ln -s busybox bin/$name; done
        """
        node.run(["sh", "-ec", script])

    def write_conflist(
        self, plugins: Sequence[dict[str, Any]] = PLAIN, version: str = "1.0.0"
    ) -> None:
        """Make *plugins* the node's one network."""
        content = {"cniVersion": version, "name": "podroute", "plugins": list(plugins)}
        self.node.run(["sh", "-c", f"cat > {CONFLIST}"], input=json.dumps(content))

    def start(self) -> None:
        """Start both daemons and wait until an ADD would succeed."""
        self.agent.start()
        self.cni.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the CNI server answers STATUS with success."""
        request = json.dumps({"cniVersion": "1.1.0", "name": "podroute", "type": "podroute"})
        environment = {"CNI_COMMAND": "STATUS", "CNI_PATH": CNI_BIN}

        def probe() -> bool:
            plugin = f"{CNI_BIN}/podroute"
            done = self.node.run([plugin], input=request, env=environment, check=False)
            if done.returncode:
                raise NotYetError(done.stdout[:500])
            return True

        wait_until(probe, deadline_s=20, what=f"{self.node.name}: an ADD would succeed")

    def in_pod(self, pod: RuntimePod, *argv: str, check: bool = True) -> str:
        """Run one of the node's programs in the pod's network namespace; return its output."""
        return self.node.run(["nsenter", "-t", str(pod.pid), "-n", *argv], check=check).stdout

    def addresses_in(self, pod: RuntimePod) -> tuple[Address, ...]:
        """Return the addresses on the pod's eth0, as the kernel has them."""
        listed = json.loads(self.in_pod(pod, "ip", "-j", "addr", "show", "eth0"))
        return tuple(
            sorted_addresses(
                f"{info['local']}/{info['prefixlen']}" for info in listed[0]["addr_info"]
            )
        )

    def leftovers(self, addresses: Sequence[Address] = ()) -> list[str]:
        """Return what the kernel still has of pods: links, host routes, or these addresses."""
        links = json.loads(self.node.run(["ip", "-j", "link", "show", "group", POD_LINKS]).stdout)
        found = [link["ifname"] for link in links if link]
        for family in ("-4", "-6"):
            argv = ["ip", "-j", family, "route", "show", "proto", "73"]
            found += [r["dst"] for r in json.loads(self.node.run(argv).stdout or "[]")]
        for address in addresses:
            argv = ["ip", f"-{address.version}", "route", "show", "table", "all", str(address)]
            found += self.node.run(argv).stdout.splitlines()
        return found

    def spooled(self) -> list[str]:
        """Return the names in the server's spool."""
        return self.node.run(["ls", "-A", "/run/podroute/spool"], check=False).stdout.split()

    def outside(self, path: str) -> Path:
        """Return a path by which this process sees a file of the node."""
        return Path(f"/proc/{self.node.pid}/root{path}")


def sorted_addresses(texts: Iterator[str] | Sequence[str]) -> tuple[Address, ...]:
    """Return addresses, whatever their prefix lengths, IPv4 first."""
    found = {ip_interface(text).ip for text in texts}
    return tuple(sorted(found, key=lambda address: (address.version, int(address))))


def write_topology(folder: Path, name: str) -> Path:
    """Write a lab of one node, without peers: what a runtime needs of podroute is all local."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(
        "local_asn: 65201\n"
        'node_addresses: [10.255.1.1, "fd00:255:1::1"]\n'
        'pod_cidrs: [10.244.1.0/24, "fd00:244:1::/64"]\n'
        'cluster: {pod_prefixes: [10.244.0.0/16, "fd00:244::/32"]}\n'
    )
    path = folder / f"{name}.clab.yml"
    path.write_text(
        f"name: {name}\n"
        "topology:\n"
        "  defaults: {kind: linux, network-mode: none, image: localhost/podroute-node:dev}\n"
        "  nodes:\n"
        "    node1:\n"
        "      binds: ['config.yaml:/etc/podroute/config.yaml:ro']\n"
        "      sysctls: {net.ipv6.conf.default.accept_dad: 0}\n"
        "      exec:\n"
        "        - ip addr add 10.255.1.1/32 dev lo\n"
        "        - ip addr add fd00:255:1::1/128 dev lo\n"
    )
    return path


@contextlib.contextmanager
def runtime_node(
    folder: Path, name: str, plugins: Sequence[dict[str, Any]] = PLAIN
) -> Iterator[RuntimeNode]:
    """Bring up a node whose daemons run and whose network consists of *plugins*."""
    with cgroups() as parent, Lab.up(write_topology(folder, name)) as lab:
        node = RuntimeNode(lab.nodes["node1"], parent)
        node.write_conflist(plugins)
        node.start()
        yield node
