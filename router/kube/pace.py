"""How fast we may ask the API server: back-off with jitter, and a token bucket. PURE.

Clock readings and random fractions come in as arguments. With jitter over the upper half of
each delay, agents that lost the API server at the same moment come back spread out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_WHOLE: Final = 1.0 - 1e-6
"""Who waited exactly as long as told must not be a rounding error short of a whole token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Bounds on the requests of one watch; all in seconds."""

    least_s: float = 1.0
    """Shortest time between two lists, or between two watches, whatever the server does."""
    first_s: float = 1.0
    """Longest first delay after a failure; doubles with each further one."""
    longest_s: float = 60.0
    settled_s: float = 10.0
    """A watch that lived this long was a success: the next failure begins anew."""
    watch_s: float = 480.0
    """How long the server shall keep one watch open; the actual time is up to a fifth less."""
    request_s: float = 20.0
    """Longest wait for an answer."""

    def watch_timeout_s(self, fraction: float) -> float:
        """Return the length of one watch; `fraction` is random in 0..1."""
        return self.watch_s * (1.0 - fraction / 5)


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row; `delay_s` says how long to wait after the newest."""

    pace: Pace
    failures: int = 0

    def succeed(self) -> None:
        """Begin anew."""
        self.failures = 0

    def delay_s(self, fraction: float, retry_after_s: float | None = None) -> float:
        """Count a failure; return the wait before the next try.

        `fraction` is random in 0..1. A Retry-After of the server is a lower bound, itself
        bounded so that a mad one cannot silence us for good.
        """
        # The exponent is bounded because 2.0 ** 1100 raises OverflowError.
        whole = min(self.pace.longest_s, self.pace.first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        delay = whole / 2 + fraction * whole / 2
        if retry_after_s is not None:
            asked = min(retry_after_s, 2 * self.pace.longest_s)
            delay = max(delay, asked * (1.0 + fraction / 4))
        return max(delay, self.pace.least_s * fraction)


@dataclass(slots=True)
class Budget:
    """A token bucket: how many requests a writer may still send."""

    burst: int
    refill_s: float
    """Seconds until one more request is allowed."""
    _tokens: float = 0.0
    _at: float | None = None

    def take(self, now: float) -> bool:
        """Use one request if there is one."""
        self._fill(now)
        if self._tokens < _WHOLE:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self, now: float) -> float:
        """Return how long until the next request is allowed; 0 if one is."""
        self._fill(now)
        return 0.0 if self._tokens >= _WHOLE else (1.0 - self._tokens) * self.refill_s

    def _fill(self, now: float) -> None:
        gained = self.burst if self._at is None else (now - self._at) / self.refill_s
        self._tokens = min(float(self.burst), self._tokens + gained)
        self._at = now
