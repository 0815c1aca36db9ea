"""Write our BGPNodeStatus: one object for each node, owned by its Node. SHELL.

Who deletes the Node deletes it (garbage collection by owner). Where the resource is not installed,
the API server is asked again every half hour, and nobody is bothered with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from router.kube import shape
from router.kube.client import JSON_PATCH, MERGE_PATCH, Api, Call
from router.kube.clock import Clock
from router.kube.errors import KubeError, RefusedError
from router.kube.pace import Backoff, Pace
from router.model.node import NodeView
from router.reconcile.node_report import Report, Rhythm

_log = logging.getLogger(__name__)
GROUP_VERSION: Final = "podroute.dev/v1alpha1"
STATUSES: Final = f"/apis/{GROUP_VERSION}/bgpnodestatuses"
_DUE_S: Final = 0.001
"""Nearer than this is now: sums of floats do not meet exactly."""
_ABSENT_S: Final = 1800.0
_AWAY_S: Final = 120.0
_DENIED_S: Final = 600.0
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403


class AbsentError(KubeError):
    """The API server has no such resource: the CRD is not installed."""


@dataclass(slots=True, kw_only=True)
class StatusObjectWriter:
    """Keeps the BGPNodeStatus of one node as wanted."""

    api: Api
    name: str
    """Of the Node and of its BGPNodeStatus."""
    pace: Pace
    clock: Clock
    wall: Callable[[], str]
    """Wall time in RFC 3339, UTC."""
    told: Callable[[], None]
    """Called when `problem` or `writes` changed."""
    problem: str = ""
    """Why the object does not say what it shall; '' if it does, or there is no such resource."""
    writes: int = 0
    """Requests that write, refused ones included."""
    _is_wanted: bool = True
    _connected: bool = False
    _node: NodeView | None = None
    _owner: str = ""
    """UID of the Node that the object is known to be owned by; '' asks for it."""
    _was_there: bool = False
    """Whether the resource was installed at some time."""
    _conditions: list[Any] = field(default_factory=list)
    """Of the object until now."""
    _rhythm: Rhythm = field(default_factory=Rhythm)
    _not_before: float = 0.0
    _fraction: float = field(init=False)
    _backoff: Backoff = field(init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Write nothing before both the Node and a report are known."""
        self._backoff = Backoff(self.pace)
        self._fraction = self.clock.fraction()

    def see(self, node: NodeView | None) -> None:
        """Take the newest view of the Node, None while there is none."""
        self._node = node
        self._woken.set()

    def connect(self, connected: bool) -> None:
        """Learn whether the API server answers the watch: while it does not, ask nothing."""
        if connected and not self._connected:
            self._woken.set()
        self._connected = connected

    def want(self, report: Report | None) -> None:
        """Take what the object shall say; None: it is not ours to write."""
        self._is_wanted = report is not None
        if report is not None and self._rhythm.want(report, self.clock.monotonic()):
            self._woken.set()

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            before = (self.problem, self.writes)
            delay_s = await self._step()
            if (self.problem, self.writes) != before:
                self.told()
            await self.clock.pause(self._woken, delay_s)

    async def _step(self) -> float | None:
        """Write what is due; return after how many seconds to look again, None for never."""
        report = self._rhythm.wanted
        if not self._is_wanted or report is None or self._node is None or not self._connected:
            return None
        now = self.clock.monotonic()
        if now < self._not_before:
            return self._not_before - now
        if self._owner != self._node.uid:
            self._rhythm.forget()
        wait_s = self._rhythm.wait_s(now, self._fraction)
        if wait_s is None or wait_s > _DUE_S:
            return wait_s
        self._rhythm.tried(now)
        try:
            await self._write(report, self._node)
        except AbsentError:
            self.problem = ""
            self._owner = ""
            _log.info("no BGPNodeStatus: the resource is not installed")
            # An API server that has just started may say so until it knows its CRDs.
            return self._again_in(_AWAY_S if self._was_there else _ABSENT_S)
        except KubeError as error:
            return self._failed(error)
        self.problem = ""
        self._backoff.succeed()
        self._rhythm.wrote(report)
        return 0.0

    def _failed(self, error: KubeError) -> float:
        self.problem = f"BGPNodeStatus {self.name}: {error}"
        status = error.status if isinstance(error, RefusedError) else 0
        self._owner = ""
        if status == _FORBIDDEN:
            return self._again_in(_DENIED_S)
        after_s = error.retry_after_s if isinstance(error, RefusedError) else None
        return self._again_in(self._backoff.delay_s(self.clock.fraction(), after_s), 1.0)

    def _again_in(self, delay_s: float, jitter: float = 1.25) -> float:
        delay_s *= 1.0 + self.clock.fraction() * (jitter - 1.0)
        self._not_before = self.clock.monotonic() + delay_s
        return delay_s

    async def _write(self, report: Report, node: NodeView) -> None:
        if self._owner != node.uid:
            await self._own(node)
        status = report.rendered(self._conditions, self.wall())
        patch = [{"op": "add", "path": "/status", "value": status}]
        await self._send("PATCH", "/status", patch, JSON_PATCH)
        self._conditions = status["conditions"]
        self._was_there = True

    async def _own(self, node: NodeView) -> None:
        """Make the object exist, owned by the Node. Raises KubeError."""
        owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
        metadata: dict[str, Any] = {"ownerReferences": [owner]}
        try:
            found = await self._send("GET")
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            await self._create(metadata)
        else:
            owners = shape.items(shape.mapping(found.get("metadata")).get("ownerReferences"))
            if owner not in owners:
                await self._send("PATCH", "", {"metadata": metadata}, MERGE_PATCH)
            status = shape.mapping(found.get("status"))
            self._conditions = list(shape.items(status.get("conditions")))
        self._owner = node.uid

    async def _create(self, metadata: dict[str, Any]) -> None:
        body = {
            "apiVersion": GROUP_VERSION,
            "kind": "BGPNodeStatus",
            "metadata": {"name": self.name, **metadata},
        }
        self.writes += 1
        call = Call(method="POST", path=STATUSES, body=body)
        try:
            await self.api.request(call, self.pace.request_s)
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                raise AbsentError("there is no resource bgpnodestatuses") from error
            raise
        self._conditions = []

    async def _send(
        self, method: str, below: str = "", body: Any = None, content_type: str = JSON_PATCH
    ) -> dict[str, Any]:
        self.writes += method != "GET"
        call = Call(
            method=method,
            path=f"{STATUSES}/{self.name}{below}",
            query=(("fieldManager", "podroute"),) if method == "PATCH" else (),
            body=body,
            content_type=content_type,
        )
        return await self.api.request(call, self.pace.request_s)
