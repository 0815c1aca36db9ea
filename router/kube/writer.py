"""What everything that keeps something in the API as wanted has in common. SHELL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from router.kube.client import Api
from router.kube.clock import Clock
from router.kube.pace import Backoff, Pace
from router.model.node import NodeView


@dataclass(slots=True, kw_only=True)
class Writer:
    """Writes about one Node for ever in `follow`; the kinds below say what."""

    api: Api
    name: str
    """Of the Node."""
    pace: Pace
    clock: Clock
    wall: Callable[[], str]
    """Wall time in RFC 3339, UTC."""
    told: Callable[[], None]
    """Called when `problem` or `writes` changed."""
    problem: str = ""
    """Why the API does not say what it shall; '' if it does."""
    writes: int = 0
    """Requests that write."""
    _connected: bool = False
    _node: NodeView | None = None
    _not_before: float = 0.0
    """No try before this monotonic time, however often we are woken."""
    _backoff: Backoff = field(init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Write nothing before both the Node and what is wanted are known."""
        self._backoff = Backoff(self.pace)

    def see(self, node: NodeView | None) -> None:
        """Take the newest view of the Node, None while there is none."""
        self._node = node
        self._woken.set()

    def connect(self, connected: bool) -> None:
        """Learn whether the API server answers the watch: while it does not, ask nothing."""
        if connected and not self._connected:
            self._woken.set()
        self._connected = connected

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
        raise NotImplementedError
