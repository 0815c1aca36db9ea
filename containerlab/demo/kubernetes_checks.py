"""What the demo measures on the cluster: readiness, replacement, outages, rights."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from containerlab.demo.daemon import descendants
from containerlab.demo.fabric import NODES, wait_for
from containerlab.demo.kubernetes_api import condition
from containerlab.demo.kubernetes_cluster import Cluster
from containerlab.demo.kubernetes_traffic import end, faults_of, ring, under
from containerlab.measure.check import Check, at_least, exactly
from containerlab.runtime.kubelet import KubePod

# linux/capability.h.
CAPABILITIES: Final = {
    "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13,
    "IPC_LOCK": 14, "SYS_ADMIN": 21, "SYS_NICE": 23,
}  # fmt: skip


def check_ready(cluster: Cluster) -> Check:
    """Start the DaemonSet; count the Nodes on which an ordinary pod would be put."""
    before = [cluster.why_not_schedulable(name) for name in NODES]
    start = time.monotonic()
    cluster.start_daemon_set()
    waiting = [_told_first(pod) for pod in cluster.daemons.values()]
    cluster.give_pod_cidrs()
    for name in NODES:
        cluster.wait_daemons_ready(name)
    for host in cluster.hosts:
        wait_for(lambda h=host: cluster.report_ready(h), deadline_s=10, what=f"{host.name} Ready")  # type: ignore[misc]
    for name in NODES:
        wait_for(
            lambda n=name: cluster.why_not_schedulable(n),  # type: ignore[misc]
            deadline_s=15,
            what=f"{name} takes pods",
        )
    took = round(time.monotonic() - start, 1)
    for host in cluster.hosts:
        cluster.wait_fresh(host, since_epoch=0)
    told = {name: condition(cluster.api.node(name), "NetworkUnavailable") for name in NODES}
    faults = [
        f"{name} took pods before there was a network"
        for name, b in zip(NODES, before, strict=True)
        if not b
    ]
    return Check(
        name="nodes_ready",
        value=sum(1 for each in told.values() if each.get("status") == "False"),
        unit="nodes",
        bound=exactly(len(NODES)),
        samples={
            "ready_s": took,
            "before": before,
            "before there were pod CIDRs": waiting,
            "said": [each.get("message", "") for each in told.values()],
        },
        faults=tuple(faults),
    )


def _told_first(pod: KubePod) -> str:
    """Return what the agent's readiness says when it is first asked."""
    router = next(each for each in pod.containers if each.spec["name"] == "router")
    wait_for(
        lambda: "" if router.failures.get("readinessProbe") else "not asked yet",
        deadline_s=20,
        what=f"{pod.name}: the first readiness probe",
    )
    return router.said


def check_replacement(cluster: Cluster) -> Check:
    """Replace the daemons' pod on every node, one by one, under traffic between all of them."""
    taken: dict[str, float] = {}
    with under(cluster, list(ring(cluster))) as (traffic, faults):
        for name in NODES:
            since = time.time()
            taken[name] = round(cluster.replace_daemons(name), 2)
            host = next(h for h in cluster.hosts if h.name == name)
            cluster.wait_fresh(host, since_epoch=since)
        results = end(cluster, traffic, faults)
    return Check(
        name="pod_replacement_lost",
        value=sum(result.lost for result in results),
        unit="packets",
        bound=exactly(0),
        samples={
            "replacement_s": taken,
            "container restarts": cluster.restarts(),
            "flows": [result.to_sample() for result in results],
        },
        faults=(*faults_of(results), *faults),
    )


def check_control(cluster: Cluster) -> Check:
    """Do the same on node1 with graceful restart off there: packets must be lost."""
    host = cluster.hosts[0]
    cluster.configure(cluster.document(graceful_restart_s=0))
    _wait_graceful_restart(cluster, "off")
    with under(cluster, list(ring(cluster))) as (traffic, faults):
        since = time.time()
        cluster.replace_daemons(host.name)
        cluster.wait_fresh(host, since_epoch=since)
        results = end(cluster, traffic, faults)
    since = time.time()
    cluster.configure(cluster.document())
    _wait_graceful_restart(cluster, "on")
    return Check(
        name="control_lost",
        value=sum(result.lost for result in results),
        unit="packets",
        bound=at_least(1),
        samples=[result.to_sample() for result in results],
        faults=tuple(faults),
    )


def _wait_graceful_restart(cluster: Cluster, state: str) -> None:
    """Wait until both ToRs have what node1 says of graceful restart, over fresh sessions."""
    host = cluster.hosts[0]
    address = host.session_addresses

    def probe() -> str:
        for tor in cluster.tors:
            for neighbor, shown in tor.show("bgp neighbors").items():
                if neighbor not in _mine(cluster, host.name):
                    continue
                graceful = shown.get("gracefulRestartInfo", {})
                timer = graceful.get("timers", {}).get("receivedRestartTimer", 0)
                if shown.get("bgpState") != "Established" or (timer > 0) != (state == "on"):
                    return f"{tor.node.name} {neighbor}: {shown.get('bgpState')}, {timer} s"
        return ""

    assert address
    wait_for(probe, deadline_s=30, what=f"graceful restart {state} at the ToRs")
    cluster.wait_fresh(host, since_epoch=0)


def _mine(cluster: Cluster, name: str) -> frozenset[str]:
    """Return the addresses that a node's sessions come from: the other end of each link."""
    host = next(h for h in cluster.hosts if h.name == name)
    # Point-to-point links of two addresses: ours is the ToR's plus one.
    return frozenset(str(address + 1) for address in host.session_addresses)


def check_capabilities(cluster: Cluster) -> Check:
    """Compare every process of the daemons with the manifest, capability by capability."""
    beyond: list[str] = []
    faults: list[str] = []
    samples: dict[str, list[str]] = {}
    for host in cluster.hosts:
        kubelet, pod = cluster.kubelets[host.name], cluster.daemons[host.name]
        for running in pod.containers:
            granted = running.spec["securityContext"]["capabilities"]
            name = f"{host.name} {running.spec['name']}"
            if granted["drop"] != ["ALL"]:
                faults.append(f"{name}: does not drop ALL")
            allowed = sum(1 << CAPABILITIES[each] for each in granted.get("add", ()))
            first = outside_pid(host.node.pid, kubelet.containerd.pid(running.id))
            tree = (first, *descendants(first))
            samples[name] = [*granted.get("add", ()), f"{len(tree)} processes"]
            for pid in tree:
                status = Path(f"/proc/{pid}/status").read_text()
                for kind, held in re.findall(r"^(Cap\w+):\t([0-9a-f]+)$", status, re.MULTILINE):
                    extra = int(held, 16) & ~allowed
                    beyond += [f"{name} {pid} {kind} {n}" for n in range(64) if extra >> n & 1]
                for wanted in ("NoNewPrivs:\t1\n", "Seccomp:\t2\n"):
                    if wanted not in status:
                        faults.append(f"{name} {pid}: not {wanted.strip()}")
            faults += _not_read_only(name, first)
    return Check(
        name="capabilities_beyond_manifest",
        value=len(beyond),
        unit="capabilities",
        bound=exactly(0),
        samples={"granted": samples, "beyond": beyond},
        faults=tuple(faults),
    )


def outside_pid(init: int, pid: int) -> int:
    """Return our number of a process that the pid namespace of a node's *init* calls *pid*."""
    for process in descendants(init):
        status = Path(f"/proc/{process}/status").read_text()
        numbers = re.findall(r"^NSpid:\t(.*)$", status, re.MULTILINE)[0].split()
        # Ours, ..., the node's, and the container's own last.
        if str(pid) in numbers[-2:-1]:
            return process
    raise RuntimeError(f"no process of pid {pid}")


def _not_read_only(name: str, pid: int) -> Iterator[str]:
    mounts = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    for line in mounts:
        fields = line.split()
        if fields[4] == "/" and "ro" not in fields[5].split(","):
            yield f"{name}: its root file system is writable"
