"""Ask the CNI server now and then which pools are full, in a thread of its own. SHELL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

_PAUSE_S: Final = 30.0


class PoolWatch:
    """`full` may be read by any thread; a server that does not answer changes nothing."""

    def __init__(self, ask: Callable[[], Mapping[str, Any]], pause_s: float = _PAUSE_S) -> None:
        """Begin at once; `ask` returns the server's overview or raises OSError."""
        self.full: tuple[str, ...] = ()
        self._ask = ask
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pool-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; one that waits for an answer ends with the process."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                pools = self._ask()["pools"]
                self.full = tuple(p["name"] for p in pools if p["in_use"] >= p["size"])
            except OSError:
                pass
            self._ended.wait(self._pause_s)
