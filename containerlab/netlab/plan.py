"""From a topology to what has to be built, in order: the whole decision, nothing done. PURE.

A lab comes up in five steps, each for all nodes before the next: the nodes' own namespaces (one
`NodePlan` each), links created (`link_batches`), links up, services, exec. Links join the nodes'
network namespaces directly; the root namespace never sees them.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from containerlab.netlab.service import NOTHING, Service, service_for
from containerlab.netlab.topology import Bind, Endpoint, Link, NodeSpec, Topology

# Folders a node sees as its own: writes go to memory and end with the node. /run is empty instead.
PRIVATE_TREES = (PurePosixPath("/etc"), PurePosixPath("/opt"), PurePosixPath("/var"))

PROGRAMS = ("bash", "install", "ip", "nft", "nsenter", "unshare")

FIRST_INDEX = 101  # of link ends; devices that come with a namespace have small ones

# Nothing of the runner's own environment reaches a node, as in a container.
BASE_ENV = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """What one node is made of."""

    name: str
    hostname: str
    binds: tuple[Bind, ...]
    sysctls: tuple[tuple[str, str], ...]
    env: Mapping[str, str]
    service: Service
    exec: tuple[tuple[str, ...], ...]
    is_bridge: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabPlan:
    """What a lab is made of."""

    name: str
    path: Path
    nodes: tuple[NodePlan, ...]
    links: tuple[Link, ...]


def make_plan(topology: Topology) -> LabPlan:
    """Decide what to build for `topology`."""
    return LabPlan(
        name=topology.name,
        path=topology.path,
        nodes=tuple(_plan_node(node) for node in topology.nodes),
        links=topology.links,
    )


def _plan_node(node: NodeSpec) -> NodePlan:
    sysctls = node.sysctls
    if sysctls:
        # containerlab does the same whenever a sysctls map exists (nodes/linux, Init).
        sysctls = (("net.ipv6.conf.all.disable_ipv6", "0"), *sysctls)
    return NodePlan(
        name=node.name,
        hostname=node.hostname,
        binds=node.binds,
        sysctls=tuple(dict(sysctls).items()),
        env={**BASE_ENV, **dict(node.env)},
        service=service_for(node.image) or NOTHING,
        exec=node.exec,
        is_bridge=node.is_bridge,
    )


def render_setup(node: NodePlan, visible: tuple[Path, ...]) -> dict[str, object]:
    """Return what the node's init is told (see init.py), as plain JSON values.

    `visible` are folders of this machine that must be seen as they are, even below one of the
    private trees: the checkout and the Python installation that run the lab.
    """
    trees = [str(tree) for tree in PRIVATE_TREES]
    hidden = [str(p) for p in visible if any(p.is_relative_to(tree) for tree in PRIVATE_TREES)]
    return {
        "name": node.name,
        "hostname": node.hostname,
        "private_trees": trees,
        "visible": hidden,
        "binds": [
            {"source": str(b.source), "target": str(b.target), "read_only": b.read_only}
            for b in node.binds
        ],
        "sysctls": [list(pair) for pair in node.sysctls],
    }


def render_create_batch(plan: LabPlan, node: str, pids: Mapping[str, int]) -> str:
    """Return the `ip -batch` text that makes, inside `node`, the links whose first end is there.

    To be run in the node's network namespace but in the root pid namespace, where `pids` hold.

    No two ends of the lab have the same interface index: the kernel takes a veth whose peer has its
    own number for a device without one (dev_get_iflink), and then tells of a lost carrier up to a
    second late if any other link of the machine changed in the last (linkwatch_urgent_event).
    """
    lines = [
        f"link add name {link.a.interface} index {first} mtu {link.mtu} type veth"
        f" peer name {link.b.interface} index {first + 1} mtu {link.mtu} netns {pids[link.b.node]}"
        for first, link in zip(itertools.count(FIRST_INDEX, 2), plan.links, strict=False)
        if link.a.node == node
    ]
    return "".join(f"{line}\n" for line in lines)


def render_up_batch(plan: LabPlan, node: str) -> str:
    """Return the `ip -batch` text that sets lo and all links of `node` up.

    The links of a bridge become ports of one link, named as the node.
    """
    ports = [end.interface for end in endpoints(plan.links) if end.node == node]
    lines = []
    if any(spec.is_bridge for spec in plan.nodes if spec.name == node):
        lines.append(f"link add name {node} type bridge")
        lines += [f"link set dev {port} master {node}" for port in ports]
        lines.append(f"link set dev {node} up")
    lines += [f"link set dev {name} up" for name in ("lo", *ports)]
    return "".join(f"{line}\n" for line in lines)


def endpoints(links: tuple[Link, ...]) -> dict[Endpoint, Endpoint]:
    """Return every endpoint with the one at the other end of its link."""
    ends = {}
    for link in links:
        ends[link.a] = link.b
        ends[link.b] = link.a
    return ends
