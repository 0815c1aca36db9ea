"""What the cluster is told of this node: the Node's condition, BGPNodeStatus, Events. SHELL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from router.agent import concerns
from router.agent.concerns import Concern, Concerns
from router.agent.core import RouteAgent
from router.agent.pool_watch import PoolWatch
from router.agent.report import Looking, node_report, waiting_report
from router.reconcile.duplicates import CONTESTED
from router.reconcile.readiness import State

if TYPE_CHECKING:  # the API client costs 20 MB; only cluster mode loads it
    from router.kube.cluster import Cluster


class ClusterTelling:
    """Tells a cluster; all methods but those of threads of its own belong to the loop's thread."""

    def __init__(self, cluster: Cluster, ask_cni: Callable[[], Mapping[str, Any]]) -> None:
        """Begin to watch the pools."""
        self._cluster = cluster
        self._looking = Looking(time.monotonic)
        self._concerns = Concerns()
        self._pools = PoolWatch(ask_cni)

    def close(self) -> None:
        """Watch no longer."""
        self._pools.close()

    def waits(self, node: str, problem: str) -> None:
        """Tell that there is no configuration to work by, and why."""
        self._cluster.want_report(waiting_report(node, problem))
        self._tell(concerns.configuration(problem))

    def tell(self, agent: RouteAgent, before: State) -> None:
        """Put the verdict on the Node, all the rest in BGPNodeStatus; Events when it turns."""
        cluster, verdict = self._cluster, agent.verdict
        cluster.want_status(verdict, agent.settings.status)
        cluster.want_services(agent.settings.services.is_wanted)
        if not agent.settings.status.report:
            cluster.want_report(None)
        elif report := self._looking.look(
            lambda: node_report(agent, time.monotonic(), time.time())
        ):
            cluster.want_report(report)
        cluster.want_claims(agent.duplicates.asked)
        for standing in agent.duplicates.take_news():
            text = f"{standing.cidr}: {standing.describe() or 'this node has it alone again'}"
            is_contested = standing.phase in CONTESTED
            self._event("PodrouteDuplicatePodCIDR", text, is_warning=is_contested)
        if verdict.state is not before and State.RESUMING not in (verdict.state, before):
            self._event(verdict.reason.value, verdict.text, is_warning=not verdict.is_ready)
        self._tell(
            (
                *concerns.configuration(agent.problems.get("configuration", "")),
                *concerns.pools(self._pools.full),
                *concerns.sessions(agent),
            )
        )

    def _tell(self, present: Iterable[Concern]) -> None:
        for told in self._concerns.follow(present, time.monotonic()):
            self._event(told.reason, told.text, is_warning=told.is_warning)

    def _event(self, reason: str, text: str, *, is_warning: bool) -> None:
        from router.kube.event import Note  # noqa: PLC0415

        self._cluster.tell(Note(reason, text, warning=is_warning))
