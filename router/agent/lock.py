"""One route agent per node. SHELL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.05


class AlreadyRunningError(Exception):
    """Another agent holds the lock of this node."""


@contextlib.contextmanager
def agent_lock(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the node's agent lock; the kernel gives it back when we die.

    `wait_s` is for one that is ending. Raises AlreadyRunningError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait_s
        while not _try(descriptor):
            if time.monotonic() < until:
                time.sleep(_PAUSE_S)
                continue
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunningError(
                f"another route agent (pid {holder}) runs on this node: {path} is locked"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
