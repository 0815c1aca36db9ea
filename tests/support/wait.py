"""Wait for a state of the world: a deadline, and the last state seen in the failure.

Tests never sleep for a guessed time: they probe until the state is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1


class NotYetError(Exception):
    """Raised by a probe to say in words what it saw instead of what is waited for."""


def wait_until(probe: Callable[[], T], *, deadline_s: float, what: str) -> T:
    """Return the first truthy value of *probe*; AssertionError after *deadline_s* seconds.

    A falsy value, or NotYetError, is a state that is not there yet; the last one seen stands in the
    message. Any other exception of the probe passes through at once.
    """
    end = time.monotonic() + deadline_s
    pause_s = FIRST_PAUSE_S
    while True:
        seen: object
        try:
            value = probe()
            if value:
                return value
            seen = value
        except NotYetError as state:
            seen = state.args[0] if state.args else "nothing"
        remaining_s = end - time.monotonic()
        if remaining_s <= 0:
            raise AssertionError(f"{what}: not within {deadline_s} s; last seen: {seen!r}")
        time.sleep(min(pause_s, remaining_s))
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
