"""How many calls came, how they ended, and how long each waited for its answer. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cni.histogram import Histogram
from cni.server.call import Caller
from cni.spec.environment import Command
from cni.wire import Door

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_VERBS: Final = frozenset(command.value for command in Command)
_OTHER: Final = "other"
"""Whatever a caller makes up is counted as one: the number of series is bounded."""


class Meter:
    """Counts by plugin, verb and result; from the request's arrival to its answer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._calls: dict[tuple[str, str, str], Histogram] = {}

    def watch(self, caller: Caller, door: Door, verb: str) -> Caller:
        """Return a caller in whose place to answer; the answer is counted on the way."""
        plugin = "podroute-ipam" if door is Door.IPAM else "podroute"
        key = plugin, verb if verb in _VERBS else _OTHER
        return _Watched(self, caller, key, self._clock())

    def count(self, key: tuple[str, str], exit_code: int, began_s: float) -> None:
        """Take note of an answer."""
        full = *key, "error" if exit_code else "ok"
        histogram = self._calls.get(full)
        if histogram is None:
            histogram = self._calls[full] = Histogram(BOUNDS_S)
        histogram.observe(self._clock() - began_s)

    def as_json(self) -> list[dict[str, Any]]:
        """Return plain values, one for each plugin, verb and result that there was."""
        return [
            {"plugin": plugin, "verb": verb, "result": result, **histogram.as_json()}
            for (plugin, verb, result), histogram in sorted(self._calls.items())
        ]


class _Watched:
    """Implements `cni.server.call.Caller` for one that is counted."""

    __slots__ = ("_began_s", "_caller", "_key", "_meter")

    def __init__(self, meter: Meter, caller: Caller, key: tuple[str, str], began_s: float) -> None:
        self._meter = meter
        self._caller = caller
        self._key = key
        self._began_s = began_s

    @property
    def sandbox(self) -> int | None:
        """Return the caller's."""
        return self._caller.sandbox

    def gone(self) -> bool:
        """Return whether the caller has left."""
        return self._caller.gone()

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        """Hand the answer on, then count it: the caller does not wait for that."""
        delivered = self._caller.answer(exit_code, stdout)
        self._meter.count(self._key, exit_code, self._began_s)
        return delivered
