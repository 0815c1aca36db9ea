"""All Nodes of the cluster, read once when somebody asks: names, ages and pod CIDRs. SHELL.

In pages, each forgotten before the next is asked for: a Node has some 20 KB, of which a hundred
bytes stay. A token bucket bounds how often, whoever asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from router.kube import convert
from router.kube.client import Api
from router.kube.clock import Clock
from router.kube.errors import KubeError, MalformedError, RefusedError
from router.kube.pace import Backoff, Budget, Pace
from router.kube.watch import Target
from router.model.node import Claim, Claims

_log = logging.getLogger(__name__)
_PAGE: Final = 100


@dataclass(slots=True, kw_only=True)
class ClaimsReader:
    """Answers the newest question; none is asked, none is sent."""

    api: Api
    pace: Pace
    clock: Clock
    changed: Callable[[Claims], None]
    problem: str = ""
    """Why there is no answer yet; '' if there is."""
    told: Callable[[], None]
    """Called when `problem` changed."""
    budget: Budget = field(default_factory=lambda: Budget(burst=3, refill_s=60.0))
    _wanted: int = 0
    _done: int = 0
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, number: int) -> None:
        """Take the number of the newest question."""
        if number > self._wanted:
            self._wanted = number
            self._woken.set()

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        backoff = Backoff(self.pace)
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._done < self._wanted:
                while not self.budget.take(self.clock.monotonic()):
                    await self.clock.sleep(self.budget.wait_s(self.clock.monotonic()))
                number = self._wanted
                try:
                    found = await self._list()
                except KubeError as error:
                    self._tell(f"cannot list the Nodes: {error}")
                    after_s = error.retry_after_s if isinstance(error, RefusedError) else None
                    await self.clock.sleep(backoff.delay_s(self.clock.fraction(), after_s))
                    continue
                backoff.succeed()
                self._done = number
                self._tell("")
                _log.info("the Nodes were listed", extra={"nodes": len(found)})
                self.changed(Claims(number=number, found=found))

    async def _list(self) -> tuple[Claim, ...]:
        target = Target(collection="/api/v1/nodes")
        found: list[Claim] = []
        token = ""
        while True:
            answer = await self.api.request(target.page_call(token, _PAGE), self.pace.request_s)
            for item in convert.items_of(answer):
                try:
                    found.append(convert.claim(item))
                except MalformedError as error:
                    _log.warning("a Node cannot be used", extra={"problem": str(error)})
            token = convert.continue_token(answer)
            if not token:
                return tuple(found)

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self.told()
