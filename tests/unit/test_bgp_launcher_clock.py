"""ExaBGP's timers while the wall clock is set.

In a process of its own: ExaBGP is never imported into this one.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from bgp.speaker.launcher.clock import Steady, keep_time
from bgp.speaker.launcher.known import why_not

assert not why_not(), why_not()
keep_time()
from exabgp.bgp.message import _NOP
from exabgp.bgp.message.open.holdtime import HoldTime
from exabgp.bgp.timer import ReceiveTimer, SendTimer
from exabgp.reactor.delay import Delay

from exabgp.logger import log

# It has no place to write to before ExaBGP's own start.
log.debug = lambda *_, **__: None
receive, send = ReceiveTimer(lambda: "", 9, 4, 0), SendTimer(lambda: "", HoldTime(9))
delay = Delay()
for _ in range(5):
    delay.increase()
step, wall, steady = int(sys.argv[1]), time.time, time.monotonic
time.time = lambda: wall() + step
receive.check_ka_timer(_NOP)
assert not send.need_ka(), "a KEEPALIVE too early"
assert delay.backoff(), "dialled too early"
Steady.time = staticmethod(lambda: steady() + 4)
assert send.need_ka(), "no KEEPALIVE after a third of the hold time"
Steady.time = staticmethod(lambda: steady() + 70)
assert not delay.backoff(), "not dialled again"
print("kept")
"""


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_step_of_the_wall_clock_ends_no_session(step_s: int) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(step_s)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "kept\n", done.stderr
