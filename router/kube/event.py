"""Tell people through Events what happened to the node. SHELL.

Events inform; losing one loses nothing else. So the queue is short, sending is rate-limited,
a failed one is dropped after a few tries, and repeats of the same within ten minutes are not
sent at all.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from router.kube.client import Api, Call
from router.kube.clock import Clock
from router.kube.errors import KubeError
from router.kube.pace import Backoff, Budget, Pace
from router.model.node import NodeView

_log = logging.getLogger(__name__)
_NAMESPACE: Final = "default"
"""Where Events about cluster-scoped objects live."""
_QUEUE: Final = 20
_REPEAT_S: Final = 600.0
_ATTEMPTS: Final = 3
_MAX_NOTE: Final = 1000


class Note(NamedTuple):
    """What an Event says."""

    reason: str
    """CamelCase word."""
    text: str
    warning: bool = False


@dataclass(slots=True, kw_only=True)
class EventWriter:
    """Sends Events about one Node."""

    api: Api
    pace: Pace
    clock: Clock
    wall: Callable[[], str]
    """Wall time in RFC 3339 with microseconds, UTC."""
    dropped: int = 0
    budget: Budget = field(default_factory=lambda: Budget(burst=5, refill_s=60.0))
    _node: NodeView | None = None
    _queue: deque[Note] = field(default_factory=deque)
    _sent: dict[Note, float] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, node: NodeView | None) -> None:
        """Take the Node that Events are about; without one they wait."""
        self._node = node
        self._woken.set()

    def tell(self, note: Note) -> None:
        """Queue an Event; the oldest goes when there are too many."""
        now = self.clock.monotonic()
        self._sent = {n: at for n, at in self._sent.items() if now - at < _REPEAT_S}
        if note in self._sent:
            return
        self._sent[note] = now
        self._queue.append(note)
        if len(self._queue) > _QUEUE:
            self._queue.popleft()
            self.dropped += 1
        self._woken.set()

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._queue and self._node is not None:
                while not self.budget.take(self.clock.monotonic()):
                    await self.clock.sleep(self.budget.wait_s(self.clock.monotonic()))
                await self._send(self._queue.popleft(), self._node)

    async def _send(self, note: Note, node: NodeView) -> None:
        call = Call(
            method="POST",
            path=f"/apis/events.k8s.io/v1/namespaces/{_NAMESPACE}/events",
            body=event(note, node, self.wall()),
        )
        backoff = Backoff(self.pace)
        for _ in range(_ATTEMPTS):
            try:
                await self.api.request(call, self.pace.request_s)
            except KubeError as error:
                reason = str(error)
                await self.clock.sleep(backoff.delay_s(self.clock.fraction()))
            else:
                return
        self.dropped += 1
        _log.info("event not delivered", extra={"event": note.reason, "reason": reason})


def event(note: Note, node: NodeView, at: str) -> dict[str, Any]:
    """Return the Event that says it of the Node at an RFC 3339 time."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        # A dot at the end, as in kubelet's own names, is refused of a prefix.
        "metadata": {"generateName": f"{node.name}-", "namespace": _NAMESPACE},
        "eventTime": at,
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "action": "Routing",
        "note": note.text[:_MAX_NOTE],
        "reportingController": "podroute.dev/router",
        "reportingInstance": node.name,
        # Kubelet's own events name the Node's name as uid; kubectl describe looks for either.
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid},
    }
