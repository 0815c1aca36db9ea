"""dialling: how soon ExaBGP dials a peer again. SHELL.

By itself it waits longer each time, up to a minute, and leaves a peer that does not answer to the
kernel, whose pauses between packets grow to a minute, too. A ToR that comes back would wait for us
that long. The longest pause of a peer stands in its description, which ExaBGP does not look at:
`retry-10` is ten seconds.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

REPEATED_SYNS = 2
"""After 0, 1 and 3 s; given up after 7 s (tcp(7), TCP_SYNCNT)."""


def dial_soon() -> None:
    """Replace what is said above."""
    bound_pauses()
    give_up_silence()


def bound_pauses() -> None:
    """Make no pause longer than the description says; pauses count as `clock` says."""
    from exabgp.reactor.peer import Peer

    stock = Peer._close

    def _close(self: Any, message: str = "", error: str = "") -> None:
        stock(self, message, error)
        word, _, seconds = str(self.neighbor["description"]).partition("-")
        if word == "retry" and seconds.isdigit():
            delay = self._delay
            delay._time = min(delay._time, time.monotonic() + int(seconds))
            delay._next = min(delay._next, int(seconds))

    Peer._close = _close


def give_up_silence() -> None:
    """Let the kernel give a connection up after few packets; the next attempt begins anew."""
    from exabgp.reactor.network import outgoing as home

    stock = home.create

    def create(afi: Any, interface: str | None = None) -> socket.socket:
        made: socket.socket = stock(afi, interface)
        with contextlib.suppress(OSError):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, REPEATED_SYNS)
        return made

    home.create = create
