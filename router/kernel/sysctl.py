"""Read and write sysctls below a root that may be a bind mount (design D13). SHELL."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from router.kernel.errors import KernelError
from router.reconcile.sysctl_found import (
    FoundFormatError,
    FoundValues,
    note,
    parse_found,
    render_found,
)


class Sysctls:
    """/proc/sys, or the place where the node's is mounted writable."""

    def __init__(self, root: Path, found: Path) -> None:
        """Touch nothing yet; `found` is the file that keeps the values we found."""
        self._root = root
        self._found = found

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
        """Write one value; the one found before our first write is kept before.

        Raises KernelError (EROFS: mount /proc/sys/net writable).
        """
        before = self.read((key,)).get(key, "")
        self._keep(note(self.found(), key, before=before, written=value))
        self.restore(key, value)

    def restore(self, key: str, value: str) -> None:
        """Write one value and keep nothing. Raises KernelError."""
        try:
            (self._root / key).write_text(value)
        except OSError as error:
            raise KernelError(error.errno or 0, f"write sysctl {key}") from error

    def found(self) -> FoundValues:
        """Return what was found before our writes since boot. Raises KernelError.

        A file that cannot be understood says nothing; the next write makes a new one.
        """
        try:
            return parse_found(self._found.read_bytes())
        except (FileNotFoundError, FoundFormatError):
            return ()
        except OSError as error:
            raise KernelError(error.errno or 0, f"read {self._found}") from error

    def _keep(self, values: FoundValues) -> None:
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=".sysctls.", dir=self._found.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(render_found(values))
                Path(temporary).replace(self._found)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise KernelError(error.errno or 0, f"write {self._found}") from error
