"""Maintenance in a cluster, on the dual-tor fabric: duplicates first, then nodes that leave."""

from __future__ import annotations

from containerlab.measure.check import Check
from tests.bench.kubernetes_drain import check_drain
from tests.bench.kubernetes_duplicate import check_duplicate
from tests.support.kube_fabric import kube_fabric


def check_maintenance() -> list[Check]:
    """Return the checks of one run."""
    with kube_fabric() as scene:
        one, two, three = scene.fabric.hosts
        for host in (one, two):
            scene.register(host)
            host.cni.start()
            scene.start_agent(host)
            scene.make_pod(host, "web")
        for host in (one, two):
            scene.wait_ways([*map(str, host.pod_cidrs)], (host.name,), 30)
        found = check_duplicate(scene)
        scene.register(three)
        three.cni.start()
        scene.start_agent(three)
        scene.wait_ways([*map(str, three.pod_cidrs)], ("node3",), 30)
        return [*check_drain(scene), *found]
