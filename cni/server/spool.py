"""DELs that the shim left because no server answered. SHELL.

One file per request, its bytes exactly those of the socket. A file appears by rename, so what has
a name without a leading dot is whole.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cni.wire import MAX_REQUEST_BYTES, MalformedFrameError, Request, parse_request

log = logging.getLogger(__name__)

_ABANDONED_S: Final = 120
"""A temporary file this old has no writer: a shim ends within a minute."""


class Spool:
    """The spool directory."""

    def __init__(
        self, directory: Path, may_have_changed: Callable[[], bool] = lambda: True
    ) -> None:
        """Create the directory, 0700, if it is not there.

        ``may_have_changed`` since it was last asked: else one that was empty is not read.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._may_have_changed = may_have_changed
        self._was_empty = False
        self._stuck: set[str] = set()

    def pending(self) -> Iterator[tuple[str, Request]]:
        """Yield (name, request) of each spooled request, oldest first.

        What no shim wrote is removed and logged: it would be there for ever.
        """
        if not self._may_have_changed() and self._was_empty:
            return
        names = self._names()
        self._was_empty = not names
        for name in names:
            try:
                yield name, parse_request(self._read(name))
            except FileNotFoundError:
                continue
            except (MalformedFrameError, OSError) as error:
                log.error("spooled request unusable", extra={"file": name, "error": str(error)})
                self._remove_unusable(name)

    def discard(self, name: str) -> None:
        """Remove a request that has been carried out."""
        (self._directory / name).unlink(missing_ok=True)

    def remove_abandoned(self) -> None:
        """Remove the temporary files of shims that were killed."""
        for path in self._directory.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()

    def _remove_unusable(self, name: str) -> None:
        try:
            self.discard(name)
        except OSError:
            # A directory, say. Not looked at again, so that the log is not filled with it.
            self._stuck.add(name)

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208  before every ADD: no Path objects
        except FileNotFoundError:
            # Somebody removed it; the next shim that needs it makes it again.
            return []
        return sorted(
            name for name in names if not name.startswith(".") and name not in self._stuck
        )

    def _read(self, name: str) -> bytes:
        # O_NONBLOCK: it may be anything, a FIFO without a writer included.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._directory / name, flags)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_REQUEST_BYTES + 1)
