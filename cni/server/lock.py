"""One CNI server per node: an exclusive lock, held from before the first kernel write. SHELL."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

_PAUSE_S: Final = 0.05


class LockHeldError(Exception):
    """Another server runs on this node."""


class ServerLock:
    """The lock file; the kernel releases the lock with the process, however it ends."""

    def __init__(self, path: Path, *, wait_s: float) -> None:
        """Take the lock, waiting for a predecessor that is ending; raise LockHeldError."""
        self._descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(self._descriptor)
                    raise LockHeldError(f"another CNI server holds {path}") from None
            time.sleep(_PAUSE_S)

    def release(self) -> None:
        """Release the lock. The file stays: removing it would let two servers lock two files."""
        os.close(self._descriptor)
