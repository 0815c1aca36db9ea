"""The agent's door to the API in tests: a fast pace, and waits that say what was seen."""

from __future__ import annotations

from collections.abc import Callable

from router.kube.cluster import Cluster
from router.kube.pace import Pace
from router.kube.view import ClusterView
from router.model.node import SecretRef
from router.reconcile.readiness import ReadinessSettings, Signs, first_verdict, judge
from tests.support.wait import NotYetError, wait_until

PACE = Pace(least_s=0.02, first_s=0.05, longest_s=0.3, settled_s=0.2, watch_s=30, request_s=2)
NAMESPACE = "podroute"
REF = SecretRef("bgp", "tor1")
STARTING = first_verdict(now=0.0, resumed=False)
READY = judge(STARTING, Signs(peers=1, established=1), ReadinessSettings(), 1.0)
Start = Callable[..., Cluster]


def wait_view(cluster: Cluster, what: str, test: Callable[[ClusterView], object]) -> ClusterView:
    def probe() -> ClusterView:
        view = cluster.take()
        if not test(view):
            raise NotYetError(view)
        return view

    return wait_until(probe, deadline_s=10, what=what)


def connected(cluster: Cluster) -> ClusterView:
    return wait_view(cluster, "connected", lambda view: view.connected)
