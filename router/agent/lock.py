"""One route agent per node. SHELL."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class AlreadyRunningError(Exception):
    """Another agent holds the lock of this node."""


@contextlib.contextmanager
def agent_lock(path: Path) -> Iterator[None]:
    """Hold the node's agent lock; the kernel gives it back when we die."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunningError(
                f"another route agent (pid {holder}) runs on this node: {path} is locked"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
