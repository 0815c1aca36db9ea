"""Priority: be scheduled first and never paged out, as far as the node allows. SHELL.

A missed packet of ours makes the peer drop BGP, so the daemon must run when it is due. Measured:
nice -20 is enough beside saturated processors; a thread of the agent is not (the GIL).
"""

from __future__ import annotations

import ctypes
import gc
import os
from typing import Final

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_FIFO_PRIORITY: Final = 10
_HIGHEST: Final = -20
_PR_SET_PDEATHSIG: Final = 1


def raise_priority() -> str:
    """Take the best scheduling allowed and say in words which it is.

    SCHED_FIFO is not given inside a CPU cgroup without real-time runtime (cgroup v1), nor
    without CAP_SYS_NICE.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_FIFO_PRIORITY))
        return f"SCHED_FIFO {_FIFO_PRIORITY}"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _HIGHEST)
        return f"nice {_HIGHEST}"
    except OSError as error:
        return f"normal, others may delay it: {error.strerror}"


def lock_memory() -> str:
    """Lock what is there and whatever is touched later; say in words whether it worked."""
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0:
        return "locked"
    return f"not locked: {os.strerror(ctypes.get_errno())}"


def die_with_parent(signum: int) -> None:
    """Ask the kernel for this signal when the thread that forked us ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
