"""Make our own Node say what we want it to say. SHELL.

Level-triggered: compares with the newest view of the Node and writes only a difference;
rate-limited, so that whoever fights us over a field costs the API server little.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from router.kube.client import JSON_PATCH, STRATEGIC_PATCH, Call
from router.kube.errors import KubeError, RefusedError
from router.kube.pace import Budget
from router.kube.writer import Writer
from router.reconcile.node_status import Change, Patch, StatusSettings, plan_status
from router.reconcile.readiness import Verdict

_log = logging.getLogger(__name__)
_STALE: Final = frozenset({409, 422})
"""The Node is no longer as seen (a failed `test` of a JSON patch is 422)."""
_ECHO_S: Final = 10.0
"""How long the watch may take to show us our own write before we write again."""


@dataclass(slots=True, kw_only=True)
class NodeStatusWriter(Writer):
    """Writes the condition and the taint of one Node."""

    budget: Budget = field(default_factory=lambda: Budget(burst=6, refill_s=10.0))
    _verdict: Verdict | None = None
    _settings: StatusSettings = field(default_factory=StatusSettings)
    _written: tuple[Change, ...] = ()
    _written_at: float = 0.0

    def want(self, verdict: Verdict, settings: StatusSettings) -> None:
        """Take what the Node shall say, and by which signals."""
        if (verdict, settings) != (self._verdict, self._settings):
            self._verdict, self._settings = verdict, settings
            self._woken.set()

    async def _step(self) -> float | None:
        if self._node is None or self._verdict is None or not self._connected:
            return None
        at = self.wall()
        plan = plan_status(self._node, self._verdict, self._settings, at=at)
        if not plan:
            self.problem = ""
            self._written = ()
            return None
        now = self.clock.monotonic()
        if now < self._not_before:
            return self._not_before - now
        texts = tuple(change.text for change in plan)
        if texts == tuple(c.text for c in self._written) and now - self._written_at < _ECHO_S:
            return _ECHO_S - (now - self._written_at)
        if not self.budget.take(now):
            return self.budget.wait_s(now)
        try:
            for change in plan:
                await self._send(change)
        except KubeError as error:
            self.problem = str(error)
            return self._failed(error)
        self._backoff.succeed()
        self._written, self._written_at = plan, now
        self.problem = ""
        return _ECHO_S

    def _failed(self, error: KubeError) -> float:
        status = error.status if isinstance(error, RefusedError) else 0
        if status not in _STALE and status != 404:
            _log.warning("cannot write the Node's status", extra={"reason": str(error)})
        after_s = error.retry_after_s if isinstance(error, RefusedError) else None
        delay_s = self._backoff.delay_s(self.clock.fraction(), after_s)
        self._not_before = self.clock.monotonic() + delay_s
        return delay_s

    async def _send(self, change: Change) -> None:
        path = f"/api/v1/nodes/{self.name}"
        condition = change.patch is Patch.CONDITION
        await self.api.request(
            Call(
                method="PATCH",
                path=f"{path}/status" if condition else path,
                query=(("fieldManager", "podroute"),),
                body=change.body,
                content_type=STRATEGIC_PATCH if condition else JSON_PATCH,
            ),
            self.pace.request_s,
        )
        self.writes += 1
        _log.info("node status written", extra={"change": change.describe()})
