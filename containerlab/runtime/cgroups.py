"""Cgroups of our own for a run's containers: the hierarchy is the machine's, not a node's."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_CGROUP_PREFIX: Final = "podroute-test-"


@contextlib.contextmanager
def cgroups() -> Iterator[str]:
    """Give a cgroup parent of our own; remove what is left below it, also of killed runs."""
    _remove_stale_cgroups()
    name = f"{_CGROUP_PREFIX}{os.getpid()}"
    try:
        yield f"/{name}"
    finally:
        _remove_cgroups(name)


def _remove_stale_cgroups() -> None:
    for path in {p.name for p in _cgroup_parents("*")}:
        pid = path.removeprefix(_CGROUP_PREFIX)
        if not Path(f"/proc/{pid}").exists():
            _remove_cgroups(path)


def _cgroup_parents(suffix: str) -> list[Path]:
    name = f"{_CGROUP_PREFIX}{suffix}"
    return [*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}")]


def _remove_cgroups(name: str) -> None:
    """Remove a parent in every hierarchy; the kernel needs a moment after the last task ended."""
    end = time.monotonic() + 5
    for parent in _cgroup_parents(name.removeprefix(_CGROUP_PREFIX)):
        for path in sorted(parent.rglob("*"), key=lambda p: -len(p.parts)):
            if path.is_dir():
                _remove_cgroup(path, end)
        _remove_cgroup(parent, end)


def _remove_cgroup(path: Path, end: float) -> None:
    while time.monotonic() < end:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return
