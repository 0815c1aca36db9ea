"""The drain of this node: who orders it, what is kept on disk, moved on by every step.

The file is written before its phase is acted upon, so that an agent that dies never forgets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol

from router.model.node import NodeView, Observed, Presence
from router.reconcile import drain
from router.reconcile.drain import (
    DamagedDrainError,
    Drain,
    DrainSettings,
    Order,
    Source,
    Stored,
)
from router.reconcile.drain_orders import Wish, is_shutting_down, ruling, wishes

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

    def __init__(self, store: DrainShell, *, now: float, at: float, has_api: bool = False) -> None:
        """Take up a drain that an agent before us began.

        A file that cannot be understood means that somebody ordered a drain: nothing is announced
        until `undrain`. One that cannot be read at all (no such disk) is only told. With
        `has_api`, the Node may order one, too, and ends what it ordered.
        """
        self._store = store
        self._has_api = has_api
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
        order = self.state.order
        self._command = order if order and order.source is Source.COMMAND else None
        self._wishes: tuple[Wish, ...] = ()
        if order is not None and self._command is None:
            # Until the API answers, what it said last stands.
            self._wishes = (Wish(order.source, order.what, None),)
        self._overruled = found.overruled if found is not None else frozenset()
        self._was_up = False
        """The Node was seen without a shutdown: one that is seen later is of this boot."""
        if order is not None:
            _log.warning("this node is drained", extra={"phase": self.state.phase.value})

    def order(self, order: Order, now: float) -> None:
        """Begin. Raises OSError, with nothing changed, if it cannot be written down."""
        self._move(drain.begin(self.state, order, now), self._overruled)
        self._command = order
        self.problem = ""

    def cancel(self, now: float = 0.0, *, override: bool = False) -> None:
        """Take the operator's order back; with `override` set aside what the Node orders, too.

        Raises OSError, with nothing changed, if it cannot be written down.
        """
        overruled = self._overruled
        found = self._wishes if self._has_api else ()
        if override:
            overruled |= {wish.source for wish in found}
        rules = ruling(None, found, overruled, self.state.order)
        self._move(drain.turn(self.state, rules, now), overruled)
        self._command = None
        self.problem = ""

    def follow(
        self, node: Observed[NodeView], settings: DrainSettings, *, now: float, at: float
    ) -> None:
        """Do what the Node orders; while the API has none to show, its last word stands.

        Raises OSError if what has to be written down cannot be.
        """
        if node.presence is not Presence.PRESENT or node.value is None:
            return
        down = is_shutting_down(node.value)
        self._was_up |= not down
        found = tuple(
            wish
            for wish in wishes(node.value, settings, at=at)
            # A Node keeps that word over the reboot, until kubelet is there again.
            if wish.source is not Source.SHUTDOWN or self._was_up
        )
        overruled = self._overruled & {wish.source for wish in found}
        rules = ruling(self._command, found, overruled, self.state.order)
        self._move(drain.turn(self.state, rules, now), overruled)
        self._wishes = found

    @property
    def is_shutdown(self) -> bool:
        """Whether the machine is going down, and the end of this agent is for good."""
        standing = {wish.source for wish in self._wishes} - self._overruled
        return Source.SHUTDOWN in standing

    @property
    def asked(self) -> tuple[tuple[Source, str], ...]:
        """Return who orders a drain now, by rank, with who that is in words."""
        command = self._command
        own = ((command.source, command.what),) if command is not None else ()
        theirs = (
            (wish.source, wish.what)
            for wish in self._wishes
            if wish.source not in self._overruled
            and (wish.order is not None or wish.source is self._source)
        )
        return (*own, *theirs)

    @property
    def _source(self) -> Source | None:
        return self.state.order.source if self.state.order is not None else None

    @property
    def complaints(self) -> tuple[str, ...]:
        """Return what of the Node's orders is not carried out, in words."""
        wrong = [wish.problem for wish in self._wishes if wish.problem]
        aside = [
            f"{wish.what} orders a drain, and `podroute undrain --override` set it aside"
            for wish in self._wishes
            if wish.source in self._overruled
        ]
        return (*wrong, *aside)

    def advance(self, *, is_acknowledged: Callable[[], bool], now: float) -> bool:
        """Move on if it is time; tell whether the phase changed. Raises OSError if it may not."""
        if self.state.until is None:
            return False
        moved = drain.advance(self.state, acknowledged=is_acknowledged(), now=now)
        if moved == self.state:
            return False
        self._move(moved, self._overruled)
        return True

    def _move(self, moved: Drain, overruled: frozenset[Source]) -> None:
        kept = drain.stored(moved, overruled)
        if kept != drain.stored(self.state, self._overruled) or self.problem:
            self._store.save(kept)
        if moved.phase is not self.state.phase:
            _log.info(
                "drain", extra={"phase": moved.phase.value, "reason": moved.describe() or "ended"}
            )
        self.state, self._overruled = moved, overruled

    @property
    def due_at(self) -> float:
        """Monotonic time at which the phase ends by itself."""
        return _FAR_S if self.state.until is None else self.state.until
