"""The file through which a fuzzing process shows how far it is and what it is at.

u64 executions | u32 size of the input | input: so that whoever watches can tell what crashed the
process, or at what it hangs. ``shim/fuzz.c`` writes the same.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

PROGRESS_BYTES: Final = 1 << 17
_HEADER: Final = struct.Struct("=QI")


class Progress:
    """The file, mapped."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(PROGRESS_BYTES))
        with path.open("r+b") as file:
            self._block = mmap.mmap(file.fileno(), PROGRESS_BYTES)

    def record(self, executions: int, data: bytes) -> None:
        """Write down what is executed next."""
        size = min(len(data), PROGRESS_BYTES - _HEADER.size)
        _HEADER.pack_into(self._block, 0, executions, size)
        self._block[_HEADER.size : _HEADER.size + size] = data[:size]

    def read(self) -> tuple[int, bytes]:
        """Return (executions begun, the input of the last)."""
        executions, size = _HEADER.unpack_from(self._block)
        return int(executions), self._block[_HEADER.size : _HEADER.size + int(size)]

    def close(self) -> None:
        """Unmap."""
        self._block.close()
