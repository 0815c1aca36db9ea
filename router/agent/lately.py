"""What went wrong lately and is over by now, so that `podroute doctor` can still name it.

Kept for ten minutes and in small numbers. Times are monotonic seconds and given in.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from bgp.event import Event, SpeakerExited
from router.kernel.monitor import Intrusion, Noticed

Json = dict[str, Any]
KEPT_S: Final = 600.0
_MOST: Final = 50


class Lately:
    """Ends of the speaker, and changes that others made to our routes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ends: deque[tuple[float, str]] = deque(maxlen=_MOST)
        self._intrusions: deque[tuple[float, Intrusion]] = deque(maxlen=_MOST)

    def note(self, event: Event, now: float) -> None:
        """Take an end of the speaker; other events are nothing to us."""
        if isinstance(event, SpeakerExited):
            self._ends.append((now, event.reason))

    def see(self, noticed: Noticed, now: float) -> Noticed:
        """Take what the monitor noticed, and give it back."""
        if noticed.intrusion is not None:
            self._intrusions.append((now, noticed.intrusion))
        return noticed

    def as_json(self, now: float) -> Json:
        """Return both, the last of each kind with how long ago it was in seconds."""
        ends = [each for each in self._ends if now - each[0] < KEPT_S]
        changes = [each for each in self._intrusions if now - each[0] < KEPT_S]
        return {
            "speaker_ended": None
            if not ends
            else {
                "times": len(ends),
                "ago_s": round(now - ends[-1][0], 1),
                "reason": ends[-1][1],
            },
            "routes_taken": None
            if not changes
            else {
                "times": sum(found.times for _, found in changes),
                "ago_s": round(now - changes[-1][0], 1),
                "prefix": changes[-1][1].prefix,
                "by": changes[-1][1].by,
            },
        }
