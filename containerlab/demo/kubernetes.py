"""`./dev demo --kubernetes`: the shipped manifest on the dual-tor fabric, in its order."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from containerlab.demo import kubernetes_checks as checks
from containerlab.demo import kubernetes_outages as outages
from containerlab.demo import steady
from containerlab.demo.fabric import TOPOLOGY
from containerlab.demo.kubernetes_cluster import Cluster
from containerlab.demo.kubernetes_removal import State, check_removal, make_plain
from containerlab.demo.leftovers import Snapshot, left_behind, namespaces_of
from containerlab.measure.check import Check, exactly, failed
from containerlab.netlab import Lab
from containerlab.runtime.cgroups import cgroups

PODS_PER_NODE = 2


class KubernetesDemo:
    """One run; ``run`` returns its checks."""

    def __init__(self) -> None:
        """Begin without any."""
        self._checks: list[Check] = []
        self._before: dict[str, State] = {}
        self._broken = ""

    def run(self) -> tuple[Check, ...]:
        """Do everything; a check that cannot be made is a failed check, not an exception."""
        before = Snapshot.take()
        with cgroups() as parent:
            lab = Lab.up(TOPOLOGY)
            spaces = namespaces_of(node.pid for node in lab.nodes.values())
            try:
                self._work(lab, parent)
            finally:
                lab.down()
        left = left_behind(before, spaces)
        self._checks.append(
            Check(
                name="left_behind",
                value=len(left),
                unit="things",
                bound=exactly(0),
                samples=list(left),
            )
        )
        return tuple(self._checks)

    def _work(self, lab: Lab, cgroup_parent: str) -> None:
        start = time.monotonic()
        cluster = Cluster(lab, cgroup_parent)
        _say(f"fabric, API server, three containerds: {time.monotonic() - start:.1f} s")
        try:
            cluster.wait_routers()
            self._before = {host.name: make_plain(host) for host in cluster.hosts}
            cluster.register_nodes()
            cluster.apply_manifests()
            for names, what, check in self._steps():
                self._step(names, what, check, cluster)
        finally:
            cluster.close()

    def _steps(
        self,
    ) -> tuple[tuple[tuple[str, ...], str, Callable[[Cluster], Check | Iterable[Check]]], ...]:
        return (
            (("nodes_ready",), "the DaemonSet starts", checks.check_ready),
            (("pods_by_cri_ping_lost",), "pods by CRI, ping from every one to every one", _pings),
            (("source_kept",), "whom the receiver of a connection sees", steady.check_sources),
            (
                ("capabilities_beyond_manifest",),
                "what the daemons may do",
                checks.check_capabilities,
            ),
            (
                ("pod_replacement_lost",),
                "the daemons' pods replaced one by one",
                checks.check_replacement,
            ),
            (("control_lost",), "the same without graceful restart", checks.check_control),
            (
                ("api_down_lost", "api_down_pods_started"),
                "the API server is away",
                outages.check_api_down,
            ),
            (("tors_down_restarts",), "all ToRs are away", outages.check_tors_down),
            (
                ("uninstall_left_behind",),
                "uninstalled",
                lambda cluster: check_removal(cluster, self._before),
            ),
        )

    def _step(
        self,
        names: tuple[str, ...],
        what: str,
        check: Callable[[Cluster], Check | Iterable[Check]],
        cluster: Cluster,
    ) -> None:
        if self._broken:
            fault = f"not measured: {self._broken} failed before"
            self._checks += (failed(name, "", exactly(0), fault) for name in names)
            return
        start = time.monotonic()
        try:
            made = check(cluster)
            self._checks += [made] if isinstance(made, Check) else made
        except Exception as error:  # whatever went wrong is this check's failure
            text = f"{type(error).__name__}: {error}"
            self._checks += (failed(name, "", exactly(0), text) for name in names)
            _say(f"  failed: {text}")
            if names[0] in ("nodes_ready", "pods_by_cri_ping_lost"):
                self._broken = names[0]
        _say(f"{what}: {time.monotonic() - start:.1f} s")


def _pings(cluster: Cluster) -> Check:
    for host in cluster.hosts:
        for number in range(1, PODS_PER_NODE + 1):
            host.pods.append(cluster.make_pod(host, f"{host.name}-pod{number}"))
    for host in cluster.hosts:
        cluster.wait_whole(host)
    return steady.check_pings(cluster, name="pods_by_cri_ping_lost")


def _say(text: str) -> None:
    sys.stderr.write(f"demo: {text}\n")
    sys.stderr.flush()
