"""clock: what ExaBGP's timers count by. SHELL.

By itself the wall clock. When that is set forward by more than the hold time (NTP after a start
without a battery clock, a virtual machine that goes on), ExaBGP ends every session as expired, with
a NOTIFICATION, upon which no peer applies graceful restart; when it is set back, no KEEPALIVE goes
out until the old time is reached, and the peers' hold timers expire.

Call only after `known.why_not` found nothing; ExaBGP is imported then, not with this module.
"""

from __future__ import annotations

import time


class Steady:
    """Stands where ExaBGP's modules expect `time`; seconds since some moment, never set."""

    time = staticmethod(time.monotonic)


def keep_time() -> None:
    """Let hold, keepalive and retry timers count by the monotonic clock."""
    from exabgp.bgp import timer
    from exabgp.reactor import delay

    for home in (timer, delay):
        home.__dict__["time"] = Steady
