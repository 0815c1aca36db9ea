"""Store: what survives the daemon, on tmpfs. SHELL.

`state.json` is replaced when a session changes. `alive` is eight bytes of shared memory that
every turn of the loop stamps, so that the next daemon knows how long nobody was there.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bgp.bfd import saved
from bgp.bfd.session import Session

_STAMP: Final = struct.Struct("@d")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class AlreadyRunningError(Exception):
    """Another daemon holds the lock of this node."""


class Store:
    """The daemon's directory, held by a lock as long as the process lives."""

    def __init__(self, directory: Path) -> None:
        """Take the directory. Raises AlreadyRunningError or OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._state = directory / "state.json"
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyRunningError(
                f"another BFD daemon runs on this node: {directory / 'lock'} is locked"
            ) from None
        self._boot_id = _BOOT_ID.read_text().strip()
        descriptor = os.open(directory / "alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, _STAMP.size)
            self._alive = mmap.mmap(descriptor, _STAMP.size)
        finally:
            os.close(descriptor)

    def stamp(self, now: float) -> None:
        """Note that the daemon was alive now."""
        _STAMP.pack_into(self._alive, 0, now)

    def load(self, now: float) -> tuple[Session, ...]:
        """Give the sessions to go on with. Raises OSError or SavedError."""
        try:
            text = self._state.read_bytes()
        except FileNotFoundError:
            return ()
        (alive_at,) = _STAMP.unpack_from(self._alive, 0)
        return saved.parse(text, boot_id=self._boot_id, alive_at=alive_at, now=now)

    def save(self, sessions: Iterable[Session]) -> None:
        """Replace what is saved. Raises OSError, with the former state intact."""
        fresh = self._state.with_suffix(".new")
        fresh.write_bytes(saved.render(sessions, self._boot_id))
        fresh.replace(self._state)
