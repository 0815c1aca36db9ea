"""What the doctor finds, for the page: looked for in the background while somebody watches. SHELL.

The doctor pings and runs programs, which takes seconds; so the page gets what was found last, with
its age, and asking for it starts the next look when that is old.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

_log = logging.getLogger(__name__)
_OLD_S: Final = 60.0
"""When all was well, and as far as the agent knows still is."""
_WRONG_OLD_S: Final = 15.0
"""When something was found: who repairs it wants to see that it is gone."""
_CHANGED_OLD_S: Final = 4.0
"""When the agent sees something else than then."""

Json = Mapping[str, Any]
Examine = Callable[[], Json]
"""Looks at everything, and returns `findings` and `not_looked_at` as `podroute doctor -o json`."""


class Findings:
    """The last look, and the next."""

    def __init__(
        self, examine: Examine | None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Look at nothing yet; None is a build without the doctor."""
        self._examine = examine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._found: Json | None = None
        self._problem: str | None = None if examine is not None else "there is no doctor here"
        self._at: float | None = None
        self._is_looking = False
        self._seen: object = None
        self._looked_at: object = None

    def latest(self, seen: object = None) -> dict[str, Any]:
        """Return what was found last; start to look anew when that is old. Never waits.

        `seen` is what the agent itself sees, to be compared; None: nobody has looked there.
        """
        with self._lock:
            now = self._monotonic()
            self._seen = self._seen if seen is None else seen
            if self._examine is not None and not self._is_looking and self._is_due(now):
                self._is_looking = True
                self._looked_at = self._seen
                threading.Thread(
                    target=self._look, args=(self._examine,), name="page-doctor", daemon=True
                ).start()
            found = self._found
            return {
                "looking": self._is_looking,
                "problem": self._problem,
                "age_s": round(now - self._at, 1) if self._at is not None else None,
                "findings": found["findings"] if found is not None else None,
                "not_looked_at": found["not_looked_at"] if found is not None else [],
            }

    def _is_due(self, now: float) -> bool:
        if self._at is None:
            return True
        if self._seen != self._looked_at:
            return now - self._at >= _CHANGED_OLD_S
        is_wrong = bool(self._found and self._found["findings"])
        return now - self._at >= (_WRONG_OLD_S if is_wrong else _OLD_S)

    def _look(self, examine: Examine) -> None:
        found: Json | None = None
        problem: str | None = None
        try:
            found = examine()
        except Exception as error:  # whatever it stumbles over; the page says so
            _log.debug("the doctor failed", exc_info=True)
            problem = f"the doctor failed: {error}"
        with self._lock:
            self._is_looking = False
            self._at = self._monotonic()
            self._problem = problem
            if found is not None:
                self._found = found
