"""Small records under /run that the kernel has no place for: one file each. SHELL.

On tmpfs, so they end with the boot, like the links and sandboxes they speak of; written by rename,
so that a killed server leaves whole files or none. No fsync: only a crash of the kernel would need
it, and that is a reboot.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

_MAX_BYTES: Final = 64 * 1024


class Records(Protocol):
    """Named byte strings; a name is a plain file name."""

    def put(self, name: str, content: bytes) -> None:
        """Keep or replace a record. Raises OSError."""

    def drop(self, name: str) -> None:
        """Remove a record; none of that name is fine. Raises OSError."""

    def each(self) -> Mapping[str, bytes]:
        """Return all records. Raises OSError."""


class FileRecords:
    """Records as files of one directory, 0700."""

    def __init__(self, directory: Path) -> None:
        """Create the directory, and remove what a killed writer left half done."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        for path in directory.glob(".*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def put(self, name: str, content: bytes) -> None:
        """Write a temporary file and rename it."""
        temporary = f"{self._directory}/.{name}"
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)
        os.rename(temporary, f"{self._directory}/{name}")  # noqa: PTH104  in every ADD: no Paths

    def drop(self, name: str) -> None:
        """Unlink the file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{name}")  # noqa: PTH108  in every DEL: no Paths

    def each(self) -> Mapping[str, bytes]:
        """Read every file; directories and what is too large are nobody's records."""
        return read_records(self._directory)


class MemoryRecords:
    """Records that end with the process: a server without a directory."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        """Keep or replace."""
        self._contents[name] = content

    def drop(self, name: str) -> None:
        """Remove."""
        self._contents.pop(name, None)

    def each(self) -> Mapping[str, bytes]:
        """Return a copy."""
        return dict(self._contents)


def read_records(directory: Path) -> Mapping[str, bytes]:
    """Return the records of a directory without changing it; none if it is not there."""
    found: dict[str, bytes] = {}
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(directory.iterdir()):
            if not path.name.startswith(".") and path.is_file() and not path.is_symlink():
                with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                    found[path.name] = file.read(_MAX_BYTES)
    return found
