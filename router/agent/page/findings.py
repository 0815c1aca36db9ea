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
        self._at = 0.0
        self._is_looking = False

    def latest(self) -> dict[str, Any]:
        """Return what was found last; start to look anew when that is old. Never waits."""
        with self._lock:
            now = self._monotonic()
            is_due = self._at == 0.0 or now - self._at >= _OLD_S
            if self._examine is not None and is_due and not self._is_looking:
                self._is_looking = True
                threading.Thread(
                    target=self._look, args=(self._examine,), name="page-doctor", daemon=True
                ).start()
            found = self._found
            return {
                "looking": self._is_looking,
                "problem": self._problem,
                "age_s": round(now - self._at, 1) if self._at else None,
                "findings": found["findings"] if found is not None else None,
                "not_looked_at": found["not_looked_at"] if found is not None else [],
            }

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
