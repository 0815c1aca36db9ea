"""Run a part of the API thread for ever. SHELL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


async def keep(
    name: str, part: Callable[[], Awaitable[None]], told: Callable[[str, str], None], pause_s: float
) -> None:
    """Never return. A defect in the part is told, and stops no other; it is tried again."""
    while True:
        try:
            await part()
        # The thread must outlive whatever a part stumbles over.
        except Exception as error:
            _log.exception("a part of the API thread failed", extra={"part": name})
            told(name, f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause_s)
