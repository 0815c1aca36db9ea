"""resting: how often ExaBGP looks around while nothing happens. SHELL.

By itself every 10 ms, whatever its sockets say: each look costs a quarter of a millisecond, and a
node at rest spent most of its processor time on them. What comes from a peer or from the agent
wakes it at once in either case.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LONGER = 4


def rest_longer() -> None:
    """Look around less often while every session is established and nothing waits to be sent."""
    from exabgp.reactor.loop import Reactor

    stock = Reactor._wait_for_io

    def _wait_for_io(self: Any, sleeptime: int) -> Iterator[int]:
        peers = self.active_peers()
        calm = len(self.established_peers()) == len(peers) and not self._pending_adjribout()
        rests = calm and self.asynchronous.ready()
        found: Iterator[int] = stock(self, sleeptime * LONGER if rests else sleeptime)
        return found

    Reactor._wait_for_io = _wait_for_io
