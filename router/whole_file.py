"""Small files that are replaced as a whole: a reader sees the former one or the new one. SHELL."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Put a file with this content there; `durable`: on the disk when this returns.

    Raises OSError, which names the file, with the former one in place and nothing beside it.
    """
    fresh = path.with_suffix(".tmp")
    try:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        # Nobody else's file or link is written to, and no secret is readable for a moment.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        # A full disk is told at the write, which knows no name.
        error.filename, error.filename2 = str(path), None
        raise


def sync_directory(directory: Path) -> None:
    """Have on the disk which files there are. Raises OSError, but not where there is none."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
