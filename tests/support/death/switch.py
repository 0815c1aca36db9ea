"""Kill a real process before or after the n-th operation it asks of the kernel.

The library (``switch.c``) is preloaded into the process and counts; the test arms it through a
mapped file. Nothing of this is in the product.
"""

from __future__ import annotations

import mmap
import struct
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("switch.c")
_NAMES: Final = 1024
_NAME_BYTES: Final = 48
_HEADER: Final = struct.Struct("=IIII")
_BYTES: Final = _HEADER.size + _NAMES * _NAME_BYTES


class Moment(IntEnum):
    """When to die."""

    BEFORE = 0
    AFTER = 1


def build_switch(directory: Path) -> Path:
    """Compile the library."""
    library = directory / "switch.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return library


class DeathSwitch:
    """The control block; ``path`` is the file as we see it, ``inner`` as the process sees it."""

    def __init__(self, library: Path, path: Path, inner: str) -> None:
        path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._block = mmap.mmap(file.fileno(), _BYTES)
        self.environment = {"LD_PRELOAD": str(library), "DEATH_SWITCH": inner}

    def arm(self, target: int, moment: Moment, *, counting: bool = True) -> None:
        """Die at operation ``target``, counted from 1 and from now on; 0: only count.

        Without ``counting`` the process says itself when to begin (``death_switch_begin``).
        """
        self._block[_HEADER.size :] = bytes(_BYTES - _HEADER.size)
        _HEADER.pack_into(self._block, 0, int(counting), target, moment, 0)

    def disarm(self) -> None:
        """Neither count nor kill any more."""
        _HEADER.pack_into(self._block, 0, 0, 0, 0, 0)

    @property
    def count(self) -> int:
        """Return how many operations there were since it was armed."""
        return int(_HEADER.unpack_from(self._block)[3])

    @property
    def reached(self) -> bool:
        """Return whether the operation it is armed for was reached."""
        _, target, _, count = _HEADER.unpack_from(self._block)
        return 0 < int(target) <= int(count)

    def name(self, number: int) -> str:
        """Return what the operation was."""
        at = _HEADER.size + number * _NAME_BYTES
        return self._block[at : at + _NAME_BYTES].partition(b"\0")[0].decode().strip()

    def close(self) -> None:
        """Unmap the control block."""
        self._block.close()
