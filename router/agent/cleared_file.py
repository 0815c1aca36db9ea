"""Which pod CIDRs this node announced since boot and did not yield. SHELL.

On tmpfs: an agent that is restarted announces them at once, and holds back all others until it
knows who else has them.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Final, Protocol

from bgp.nlri import Prefix
from router import whole_file

_VERSION: Final = 1


class ClearedMemory(Protocol):
    """Remembers them; `ClearedFile` is the real one."""

    def load(self) -> frozenset[Prefix] | None:
        """Return what was saved, None if nothing was or it cannot be used."""

    def save(self, cidrs: frozenset[Prefix]) -> None:
        """Keep it over a restart. Raises OSError."""


class NoClearedMemory:
    """Nothing is remembered."""

    def load(self) -> frozenset[Prefix] | None:
        """Return nothing."""
        return None

    def save(self, cidrs: frozenset[Prefix]) -> None:
        """Do nothing."""


class ClearedFile:
    """One small file, written atomically and only when it would differ."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._written: frozenset[Prefix] | None = None

    def load(self) -> frozenset[Prefix] | None:
        """Return what was saved, None if nothing was or it cannot be used."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            found = json.loads(self._path.read_bytes())
            if found["version"] == _VERSION:
                return frozenset(Prefix.parse(text) for text in found["cidrs"])
        return None

    def save(self, cidrs: frozenset[Prefix]) -> None:
        """Keep it over a restart. Raises OSError."""
        if cidrs == self._written:
            return
        content = {"version": _VERSION, "cidrs": [str(cidr) for cidr in sorted(cidrs)]}
        whole_file.write(self._path, json.dumps(content).encode())
        self._written = cidrs
