"""supervision: when to restart, to reload, and to give the speaker up. PURE.

Clock readings are monotonic seconds and given in.
"""

from __future__ import annotations

DELAYS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 10.0)
HEALTHY_LIFE_S = 60.0
RELOAD_RETRY_S = 0.25
FAREWELL_S = 0.5
"""How long a reload that removes a peer waits until that peer was sent our withdrawals."""
DEFAULT_HOLD_TIME_S = 9
SHORTEST_PATIENCE_S = 0.75


class Backoff:
    """Delay before a start: none the first time, longer each time, reset by a healthy life."""

    def __init__(self) -> None:
        self._failures = 0
        self._started_at: float | None = None

    def started(self, now: float) -> None:
        """Note a start."""
        self._started_at = now

    def ended(self, now: float) -> float:
        """Note an end and give the time of the next start."""
        if self._started_at is not None and now - self._started_at >= HEALTHY_LIFE_S:
            self._failures = 0
        delay = DELAYS_S[min(self._failures, len(DELAYS_S) - 1)]
        self._failures += 1
        return now + delay


class Heartbeat:
    """Decides when to ask for a sign of life and when its absence means that it hangs.

    A hung speaker still has its TCP sessions, so peers wait for the hold time and then drop our
    routes, graceful restart or not. Killed before that, it costs nothing. The whole must take
    at most half of the hold time: one interval until we ask, the rest until we lose patience.
    Time in which we did not run ourselves is not held against the speaker.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._hold_time_s: float = DEFAULT_HOLD_TIME_S
        self._asked_at: float | None = None
        self._alive_at = 0.0
        self._looked_at = 0.0

    def expect_within(self, hold_time_s: float) -> None:
        """Set the shortest hold time of all sessions; 0 means that none has a hold timer."""
        self._hold_time_s = hold_time_s or float("inf")

    def began(self, now: float) -> None:
        """Note that the speaker answers from now on."""
        self._asked_at, self._alive_at, self._looked_at = None, now, now

    def heard(self, now: float) -> None:
        """Note any line from the speaker."""
        self._asked_at, self._alive_at = None, now

    @property
    def patience_s(self) -> float:
        """How long an answer may take."""
        return max(self._hold_time_s / 2 - self._interval_s, SHORTEST_PATIENCE_S)

    def is_due(self, now: float) -> bool:
        """Tell whether to ask now; counts as having asked."""
        if self._asked_at is not None or now - self._alive_at < self._interval_s:
            return False
        self._asked_at = now
        return True

    def silence_s(self, now: float) -> float | None:
        """Give for how long the speaker has been silent if that is too long, else None."""
        stalled = now - self._looked_at > max(2 * self._interval_s, self.patience_s / 2)
        self._looked_at = now
        if self._asked_at is None:
            return None
        if stalled:
            self._asked_at = now
        return now - self._alive_at if now - self._asked_at > self.patience_s else None

    def due_at(self) -> float:
        """Give when `is_due` or `silence_s` may change their answer by time alone."""
        if self._asked_at is None:
            return self._alive_at + self._interval_s
        return self._asked_at + self.patience_s


class Reload:
    """Follows the configuration text from the file into the running speaker.

    ExaBGP loses a reload signal that arrives while it handles another or has routes queued, and
    says so nowhere; so the signal is repeated until the configuration is confirmed.
    """

    def __init__(self) -> None:
        self._wanted = ""
        self._wanted_at = 0.0
        self._loaded: str | None = None
        self._signalled: str | None = None
        self._signalled_at = 0.0
        self._attempts = 0
        self._in_doubt = False
        self._refused: str | None = None

    def want(self, text: str, now: float) -> None:
        """Note the text now in the file."""
        if text != self._wanted:
            self._wanted, self._wanted_at, self._refused = text, now, None

    def started(self, text: str) -> None:
        """Note that a new speaker loaded `text` (or a newer one) at its start."""
        self._loaded, self._signalled, self._refused = text, None, None
        self._attempts, self._in_doubt = 0, False

    def ended(self) -> None:
        """Note that there is no speaker."""
        self._loaded = self._signalled = None

    @property
    def is_pending(self) -> bool:
        """Tell whether a running speaker does not have the wanted text yet."""
        return self._loaded not in (None, self._wanted) and self._refused != self._wanted

    @property
    def waiting_since(self) -> float:
        """When the wanted text was given."""
        return self._wanted_at

    def is_due(self, now: float, *, may_start: bool) -> bool:
        """Tell whether to signal now; counts as having signalled.

        `may_start` is false while removed peers have not been sent our withdrawals; it is
        waited for FAREWELL_S at most.
        """
        if not self.is_pending:
            return False
        if self._signalled is not None and now - self._signalled_at < RELOAD_RETRY_S:
            return False
        if not may_start and now - self._wanted_at < FAREWELL_S:
            return False
        self._attempts = self._attempts + 1 if self._signalled == self._wanted else 1
        self._signalled, self._signalled_at = self._wanted, now
        return True

    def confirmed(self) -> bool:
        """Note that the speaker loaded a file; tell whether it now surely has the wanted text.

        After a repeated signal two confirmations may come, the second one when another text
        has been signalled already; so the one after a repetition counts only the second time.
        """
        if self._signalled is None:
            return False
        signalled, self._signalled = self._signalled, None
        doubtful, self._in_doubt = self._in_doubt, self._attempts > 1
        if doubtful:
            return False
        self._loaded = signalled
        return not self.is_pending

    def refused(self) -> None:
        """Note that the speaker refused; not tried again until another text is wanted."""
        self._refused = self._signalled or self._wanted
        self._signalled = None
