"""How the process keeps the memory that a full table once took. SHELL."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_COLLECT_AFTER: Final = 50_000
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX of mallopt(3)."""
_BUFFER_BYTES: Final = 64 * 1024
_SPARE_BYTES: Final = 128 * 1024


def spare_the_collector() -> None:
    """Let the cycle collector look seldom, and never again at what the start has left.

    Prefixes, paths and routes are tuples and dicts without cycles; with a hundred thousand of
    them, looking after every 700 new ones took a fifth of the processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def give_back_buffers() -> None:
    """Give large buffers back to the kernel as soon as they are free; threads share one heap.

    By itself glibc learns from the first large buffers that more will come, and keeps 10 MB of
    them after a full table. With another C library nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    for option, value in (
        (_ARENA_MAX, 1),
        (_MMAP_THRESHOLD, _BUFFER_BYTES),
        (_TRIM_THRESHOLD, _SPARE_BYTES),
    ):
        mallopt(option, value)
