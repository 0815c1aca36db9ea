"""Everything that writes to the API about our Node. SHELL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from router.kube.client import Api
from router.kube.clock import Clock, precise_wall_time, wall_time
from router.kube.event import EventWriter
from router.kube.node_status import NodeStatusWriter
from router.kube.status_object import StatusObjectWriter
from router.kube.view import ClusterSettings
from router.model.node import NodeView


class Writers:
    """The Node's condition and taint, its BGPNodeStatus, and Events about it."""

    def __init__(
        self, api: Api, settings: ClusterSettings, clock: Clock, told: Callable[[], None]
    ) -> None:
        """Write nothing yet; `told` is called when `problem` or `status_writes` changed."""
        name, pace = settings.node, settings.pace
        self.node = NodeStatusWriter(
            api=api, name=name, pace=pace, clock=clock, wall=wall_time, told=told
        )
        self.report = StatusObjectWriter(
            api=api, name=name, pace=pace, clock=clock, wall=wall_time, told=told
        )
        self.events = EventWriter(api=api, pace=pace, clock=clock, wall=precise_wall_time)

    @property
    def parts(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs for ever."""
        return {
            "node status": self.node.follow,
            "status object": self.report.follow,
            "events": self.events.follow,
        }

    def see(self, node: NodeView | None) -> None:
        """Take the newest view of the Node, None while there is none."""
        self.node.see(node)
        self.report.see(node)
        self.events.see(node)

    def connect(self, connected: bool) -> None:
        """Learn whether the API server answers the watch of the Node."""
        self.node.connect(connected)
        self.report.connect(connected)

    @property
    def problem(self) -> str:
        """Why what is wanted does not stand in the API, '' if it does."""
        return "; ".join(each.problem for each in (self.node, self.report) if each.problem)
