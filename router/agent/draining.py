"""The drain of this node: what the operator ordered, kept on disk, moved on by every step.

The file is written before its phase is acted upon, so that an agent that dies never forgets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from router.reconcile import drain
from router.reconcile.drain import DamagedDrainError, Drain, Order, Stored

_log = logging.getLogger(__name__)
_FAR_S: Final = float("inf")


class DrainShell(Protocol):
    """Keeps the drain; `router.agent.drain_file.DrainFile` is the real one."""

    def load(self) -> Stored | None:
        """Return what was saved last."""

    def save(self, stored: Stored | None) -> None:
        """Keep it over a reboot."""


class NoDrainStore:
    """Keeps nothing: for an agent without a state directory."""

    def load(self) -> Stored | None:
        """There is nothing."""
        return None

    def save(self, stored: Stored | None) -> None:
        """Forget it at once."""


class Draining:
    """All methods belong to the loop's thread."""

    def __init__(self, store: DrainShell, *, now: float, at: float) -> None:
        """Take up a drain that an agent before us began.

        A file that cannot be understood means that somebody ordered a drain: nothing is announced
        until `undrain`. One that cannot be read at all (no such disk) is only told.
        """
        self._store = store
        self.problem = ""
        """Why the drain is not kept as it should be; '' if it is."""
        found: Stored | None = None
        try:
            found = store.load()
        except OSError as error:
            self.problem = f"cannot read whether this node is drained: {error}"
        except DamagedDrainError as error:
            self.problem = f"taken as drained, until `podroute undrain`: {error}"
            found = Stored(order=Order(since=at), withdrawn=True)
        if self.problem:
            _log.error("drain not readable", extra={"reason": self.problem})
        self.state = drain.resume(found, now)
        if found is not None:
            _log.warning("this node is drained", extra={"phase": self.state.phase.value})

    def order(self, order: Order, now: float) -> None:
        """Begin. Raises OSError, with nothing changed, if it cannot be written down."""
        self._move(drain.begin(self.state, order, now))
        self.problem = ""

    def cancel(self) -> None:
        """End it. Raises OSError, with nothing changed, if the file cannot be removed."""
        self._move(drain.cancel(self.state))
        self.problem = ""

    def advance(self, *, is_acknowledged: Callable[[], bool], now: float) -> bool:
        """Move on if it is time; tell whether the phase changed. Raises OSError if it may not."""
        if self.state.until is None:
            return False
        moved = drain.advance(self.state, acknowledged=is_acknowledged(), now=now)
        if moved == self.state:
            return False
        self._move(moved)
        return True

    def _move(self, moved: Drain) -> None:
        if drain.stored(moved) != drain.stored(self.state) or self.problem:
            self._store.save(drain.stored(moved))
        if moved.phase is not self.state.phase:
            _log.info(
                "drain", extra={"phase": moved.phase.value, "reason": moved.describe() or "ended"}
            )
        self.state = moved

    @property
    def due_at(self) -> float:
        """Monotonic time at which the phase ends by itself."""
        return _FAR_S if self.state.until is None else self.state.until
