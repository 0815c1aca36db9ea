"""Taking podroute off the cluster's nodes again, and what that must leave: nothing."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Mapping
from typing import Final

import yaml

from containerlab.demo.fabric import NODES, ROOT, Host
from containerlab.demo.kubernetes_api import condition
from containerlab.demo.kubernetes_cluster import CNI_DIRS, NAMESPACE, TAINT, Cluster
from containerlab.demo.kubernetes_objects import RESOURCES
from containerlab.measure.check import Check, exactly
from containerlab.netlab.node import Node

STATUSES: Final = f"{RESOURCES}/bgpnodestatuses"
JOB: Final = ROOT / "deploy/kustomize/uninstall/job.yaml"
# What a plain host has before: the daemons must change these and the removal put them back.
PLAIN: Final = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.fib_multipath_hash_policy": "0",
    "net.ipv6.fib_multipath_hash_policy": "0",
    "net.ipv4.conf.eth1.rp_filter": "1",
    "net.ipv4.conf.eth2.rp_filter": "1",
}
_COMMANDS: Final = {
    "route": "ip -4 route show table all; ip -6 route show table all",
    "nexthop": "ip nexthop",
    "rule": "ip rule; ip -6 rule",
    "link": "ip -br link | sed 's/@.*//; s/ .*//'",
    "nft": "nft list ruleset",
    "file": f"find {' '.join(CNI_DIRS)} /run/podroute /var/lib/podroute -mindepth 1 2>/dev/null",
    "sysctl": "cd /proc/sys/net && grep -r . ipv4 ipv6 2>/dev/null"
    " | grep -v -e stable_secret -e /neigh/ -e /pod -e flush | sort",
}

State = Mapping[str, frozenset[str]]


def make_plain(host: Host) -> State:
    """Make a node what it was before any cluster; return its state."""
    for key, value in PLAIN.items():
        host.node.run(["sysctl", "-qw", f"{key}={value}"])
    return look(host.node)


def look(node: Node) -> State:
    """Return what is on a node, line by line."""
    return {
        what: frozenset(node.run(["sh", "-c", command], check=False).stdout.splitlines())
        for what, command in _COMMANDS.items()
    }


def check_removal(cluster: Cluster, before: Mapping[str, State]) -> Check:
    """Delete the pods and the DaemonSet, run the Job on each node, and look what is left."""
    changed = {host.name: _changed(before[host.name], look(host.node)) for host in cluster.hosts}
    faults = [
        f"{name}: sysctl {key} was never changed"
        for name in NODES
        for key in PLAIN
        if not any(key.replace(".", "/").removeprefix("net/") in line for line in changed[name])
    ]
    for host in cluster.hosts:
        _lose_a_pod(host)
        for pod in host.pods:
            cluster.remove_pod(pod)  # type: ignore[arg-type]
        host.pods.clear()
        cluster.stop_daemons(host.name)
    faults += [f"{name} never had a BGPNodeStatus" for name in set(NODES) - _statuses(cluster)]
    said = {name: _uninstall(cluster, name) for name in NODES}
    left = [
        f"{host.name}: {line}"
        for host in cluster.hosts
        for line in _changed(before[host.name], look(host.node))
    ]
    for name in NODES:
        node = cluster.api.node(name)
        taints = [t for t in node["spec"].get("taints") or () if t["key"] == TAINT["key"]]
        left += [f"{name}: taint {taint}" for taint in taints]
        left += [f"{name}: {c}" for c in [condition(node, "NetworkUnavailable")] if c]
    left += [f"{name}: BGPNodeStatus" for name in sorted(_statuses(cluster))]
    return Check(
        name="uninstall_left_behind",
        value=len(left),
        unit="things",
        bound=exactly(0),
        samples={"left": left, "said on node1": said[NODES[0]].splitlines()},
        faults=tuple(faults),
    )


def _statuses(cluster: Cluster) -> set[str]:
    """Return the nodes that have a BGPNodeStatus."""
    listed = cluster.api.request("GET", STATUSES)
    return {each["metadata"]["name"] for each in listed["items"]}


def _changed(before: State, now: State) -> list[str]:
    """Return what is new, gone or different, one line each."""
    return [
        f"{what}: {sign}{line}"
        for what in before
        for sign, lines in (("+", now[what] - before[what]), ("-", before[what] - now[what]))
        for line in sorted(lines)
    ]


def _lose_a_pod(host: Host) -> None:
    """Leave a pod link whose sandbox lives on without a name: a DEL that got lost."""
    pod = host.runtime.make_pod(f"{host.name}-lost")
    script = "echo inside; exec sleep 1000000"
    keeper = host.node.popen(
        ["ip", "netns", "exec", pod.name, "sh", "-c", script], stdout=subprocess.PIPE
    )
    assert keeper.stdout is not None
    keeper.stdout.readline()
    keeper.stdout.close()
    host.node.run(["ip", "netns", "delete", pod.name])


def _uninstall(cluster: Cluster, name: str) -> str:
    """Run the Job's pod on a node, as shipped; return what it said."""
    manifest = yaml.safe_load(JOB.read_text().replace("NODE_NAME", name))
    template = copy.deepcopy(manifest["spec"]["template"])
    template["metadata"]["namespace"] = NAMESPACE
    (container,) = template["spec"].pop("containers")
    kubelet = cluster.kubelets[name]
    pod = kubelet.run_pod(template, f"podroute-uninstall-{name}")
    try:
        return kubelet.run_to_end(pod, container)
    finally:
        kubelet.remove_pod(pod)
