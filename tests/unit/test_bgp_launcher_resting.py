"""When ExaBGP may wait longer than it does by itself.

Its own modules stay out of this process; how its functions are called is held by
`bgp.speaker.launcher.known` at each start.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from bgp.speaker.launcher.resting import LONGER, rest_longer


class At:
    """A reactor in some state; `waited` is what it waits for its sockets."""

    def __init__(self, *, established: int = 2, unsent: bool = False, commands: bool = False):
        self.waited = -1
        self.asynchronous = self
        self._established = established
        self._unsent = unsent
        self._commands = commands

    def active_peers(self) -> set[str]:
        return {"tor1", "tor2"}

    def established_peers(self) -> set[str]:
        return {f"tor{number}" for number in range(1, self._established + 1)}

    def _pending_adjribout(self) -> bool:
        return self._unsent

    def ready(self) -> bool:
        return not self._commands


@pytest.mark.parametrize(
    ("at", "asked", "waited"),
    [
        (At(), 10, 10 * LONGER),
        (At(), 0, 0),
        (At(established=1), 10, 10),
        (At(unsent=True), 10, 10),
        (At(commands=True), 10, 10),
    ],
)
def test_only_at_rest(monkeypatch: pytest.MonkeyPatch, at: At, asked: int, waited: int) -> None:
    class Reactor:
        def _wait_for_io(self: At, sleeptime: int) -> Iterator[int]:
            self.waited = sleeptime
            return iter([3])

    for name in ("exabgp", "exabgp.reactor", "exabgp.reactor.loop"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["exabgp.reactor.loop"], "Reactor", Reactor, raising=False)
    rest_longer()
    assert list(Reactor._wait_for_io(at, asked)) == [3]
    assert at.waited == waited
