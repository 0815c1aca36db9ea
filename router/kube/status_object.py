"""Write our BGPNodeStatus: one object for each node, owned by its Node. SHELL.

Who deletes the Node deletes it (garbage collection by owner). Where the resource is not installed,
the API server is asked again every half hour, and nobody is bothered with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Final

from router.kube import shape
from router.kube.client import JSON_PATCH, MERGE_PATCH, Call
from router.kube.errors import KubeError, RefusedError
from router.kube.writer import Writer
from router.model.config_object import GROUP_VERSION
from router.model.node import NodeView
from router.reconcile.node_report import Report, Rhythm

_log = logging.getLogger(__name__)
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
class StatusObjectWriter(Writer):
    """Keeps the BGPNodeStatus of one node, by the Node's name, as wanted.

    Without the resource there is no problem. Refused writes are counted too.
    """

    _is_wanted: bool = True
    _owner: str = ""
    """UID of the Node that the object is known to be owned by; '' asks for it."""
    _was_there: bool = False
    """Whether the resource was installed at some time."""
    _conditions: list[Any] = field(default_factory=list)
    """Of the object until now."""
    _rhythm: Rhythm = field(default_factory=Rhythm)
    _fraction: float = field(init=False)

    def __post_init__(self) -> None:
        """Write at times of our own, lest all nodes write together."""
        Writer.__post_init__(self)
        self._fraction = self.clock.fraction()

    def want(self, report: Report | None) -> None:
        """Take what the object shall say; None: it is not ours to write."""
        self._is_wanted = report is not None
        if report is not None and self._rhythm.want(report, self.clock.monotonic()):
            self._woken.set()

    async def _step(self) -> float | None:
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
