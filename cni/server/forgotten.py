"""Attachments whose sandbox the runtime has forgotten, though something keeps it alive. No I/O.

A DEL that was lost with its runtime leaves a link that the kernel cannot free while the sandbox
lives (a stuck process, somebody's bind mount). Where the operator names the directory in which
every runtime of the node keeps its sandboxes, an attachment that has been without a file there for
a while is removed (design, invariant 2). Off by default: a runtime that uses other paths, as
``ctr`` does with /proc/PID/ns/net, would lose its pods.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

GRACE_S: Final = 60.0
"""Runtimes make the file before the ADD and remove it after the DEL; a minute is for slow ones."""


class Presence(Protocol):
    """The part of the dataplane that is needed here."""

    def absent_from(self, directory: Path) -> Collection[int] | None:
        """Return the indexes of pod links without a file there; None: nothing is known."""


class Forgotten:
    """How long each link has been without a file."""

    def __init__(
        self, directory: Path, presence: Presence, clock: Callable[[], float], grace_s: float
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._clock = clock
        self._grace_s = grace_s
        self._since_s: dict[int, float] = {}

    def take(self) -> tuple[int, ...]:
        """Return the indexes of links that have been without a file for the grace, each once."""
        absent = self._presence.absent_from(self._directory)
        if absent is None:
            self._since_s.clear()
            return ()
        now_s = self._clock()
        self._since_s = {index: self._since_s.get(index, now_s) for index in absent}
        due = tuple(
            index
            for index, since_s in sorted(self._since_s.items())
            if now_s - since_s >= self._grace_s
        )
        for index in due:
            del self._since_s[index]
        return due
