"""Hear of a new ``node.json`` at once (inotify(7)), and not only at the next ADD or tick. SHELL.

What follows from it, the preferred source of host routes say, is wanted when the agent writes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_IN_CLOSE_WRITE: Final = 0x8
_IN_MOVED_TO: Final = 0x80
_READ_BYTES: Final = 64 * 1024


class FactsWatch:
    """Readable when something was put into the directory; ``take`` tells if it was the file."""

    def __init__(self, path: Path) -> None:
        """Watch the file's directory, which must exist. Raises OSError."""
        self._name = path.name.encode()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        # A rename into place is how the agent writes; a person may write in place.
        events = _IN_MOVED_TO | _IN_CLOSE_WRITE
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path.parent), events) < 0:
            error = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(error, "inotify_add_watch", str(path.parent))

    def fileno(self) -> int:
        """Return the inotify descriptor."""
        return int(self._descriptor)

    def take(self) -> bool:
        """Return whether the file may have changed since the last call.

        Names are padded with zeros in the events; that one stands in another's is of no account.
        """
        try:
            return self._name in os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


@contextlib.contextmanager
def watching(path: Path) -> Iterator[FactsWatch | None]:
    """Watch while the context lasts; None where there is no inotify (left to the tick)."""
    try:
        watch = FactsWatch(path)
    except OSError as error:
        log.warning("node facts are not watched", extra={"error": str(error)})
        yield None
        return
    with contextlib.closing(watch):
        yield watch
