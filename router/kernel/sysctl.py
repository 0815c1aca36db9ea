"""Read and write sysctls below a root that may be a bind mount (design D13). SHELL."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from router.kernel.errors import KernelError


class Sysctls:
    """/proc/sys, or the place where the node's is mounted writable."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet."""
        self._root = root

    def read(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the values of those keys that exist."""
        values: dict[str, str] = {}
        for key in keys:
            try:
                values[key] = (self._root / key).read_text().strip()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise KernelError(error.errno or 0, f"read sysctl {key}") from error
        return values

    def write(self, key: str, value: str) -> None:
        """Write one value. Raises KernelError (EROFS: mount /proc/sys/net writable)."""
        try:
            (self._root / key).write_text(value)
        except OSError as error:
            raise KernelError(error.errno or 0, f"write sysctl {key}") from error
