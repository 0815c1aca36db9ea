"""Time and chance of the API thread, injected so that tests need no waiting. SHELL."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Readings and waits of one event loop."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    fraction: Callable[[], float] = random.random
    """Random in 0..1."""

    async def pause(self, woken: asyncio.Event, longest_s: float | None) -> None:
        """Wait for `woken`, at most so long; clears it."""
        waits: list[asyncio.Future[bool]] = [asyncio.ensure_future(woken.wait())]
        if longest_s is not None:
            waits.append(asyncio.ensure_future(self._sleep(longest_s)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        woken.clear()

    async def _sleep(self, longest_s: float) -> bool:
        await self.sleep(longest_s)
        return True


def wall_time() -> str:
    """Return the time in RFC 3339, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_wall_time() -> str:
    """Return the same with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
