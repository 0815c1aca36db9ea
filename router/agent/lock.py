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
            holder = holder_of(path) or "unknown"
            raise AlreadyRunningError(
                f"another route agent (pid {holder}) runs on this node: {path} is locked"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def holder_of(path: Path) -> str:
    """Return the pid of who had the lock last, '' if nobody is known to have had it."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def wait_released(path: Path, holder: str, wait_s: float) -> bool:
    """Wait until this holder has ended; tell whether it has.

    It has, too, where another one has taken its place meanwhile, which is not waited for.
    """
    until = time.monotonic() + wait_s
    while not _is_released(path, holder):
        if time.monotonic() >= until:
            return False
        time.sleep(_PAUSE_S)
    return True


def _is_released(path: Path, holder: str) -> bool:
    try:
        with path.open("rb") as file:
            # Shared, and given back at once: nothing is written, nobody's place is taken.
            return _try(file.fileno(), fcntl.LOCK_SH) or holder_of(path) not in ("", holder)
    except FileNotFoundError:
        return True


def _try(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
