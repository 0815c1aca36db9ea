"""The drain that outlives the agent: one small file, written atomically. SHELL."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

from router import whole_file
from router.reconcile.drain import (
    DEFAULT_WAIT_S,
    MAX_PREPEND,
    MAX_WAIT_S,
    DamagedDrainError,
    Order,
    Source,
    Stored,
)

_VERSION: Final = 1


class DrainFile:
    """``drain.json`` in the state directory, which survives a reboot; absent while not drained."""

    def __init__(self, directory: Path) -> None:
        """Touch nothing yet; the directory is made when something is to be written."""
        self._path = directory / "drain.json"

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return str(self._path)

    def load(self) -> Stored | None:
        """Return what was written last. Raises OSError, or DamagedDrainError."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            raise DamagedDrainError(f"{self._path}: {error}") from error
        try:
            return _parse(json.loads(text))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedDrainError(f"{self._path}: {error!r}") from error

    def save(self, stored: Stored | None) -> None:
        """Write it, on the disk when this returns; None removes it. Raises OSError."""
        if stored is None:
            self._path.unlink(missing_ok=True)
            whole_file.sync_directory(self._path.parent)
        else:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            whole_file.write(self._path, _render(stored).encode(), durable=True)


def _render(stored: Stored) -> str:
    order = stored.order
    said: dict[str, Any] = {"version": _VERSION, "withdrawn": stored.withdrawn}
    if stored.overruled:
        said["overruled"] = sorted(stored.overruled)
    if order is not None:
        said |= {"since": order.since, "prepend": order.prepend, "wait_s": order.wait_s}
        # An agent of the release before knows the command alone, and takes all for one.
        said |= {"source": order.source, "what": order.what}
    return json.dumps(said) + "\n"


def _parse(given: Any) -> Stored:
    if given["version"] != _VERSION:
        raise ValueError(f"version {given['version']!r} is not {_VERSION}")
    if not isinstance(given["withdrawn"], bool):
        raise TypeError("withdrawn is not true or false")
    overruled = frozenset(Source(each) for each in given.get("overruled", ()))
    if overruled and "since" not in given:
        return Stored(order=None, overruled=overruled)
    usual = Order(since=0.0)
    order = Order(
        since=float(given["since"]),
        prepend=read_prepend(given["prepend"]),
        wait_s=read_wait_s(given["wait_s"]),
        source=Source(given.get("source", usual.source)),
        what=str(given.get("what", usual.what)),
    )
    return Stored(order=order, withdrawn=given["withdrawn"], overruled=overruled)


def read_prepend(value: Any = 0) -> int:
    """Return how often to prepend. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= MAX_PREPEND:
        raise ValueError(f"prepend must be a whole number from 0 to {MAX_PREPEND}")
    return value


def read_wait_s(value: Any = DEFAULT_WAIT_S) -> float:
    """Return how long to wait. Raises ValueError."""
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= MAX_WAIT_S:
        raise ValueError(f"wait_s must be a number of seconds from 0 to {MAX_WAIT_S:g}")
    return float(value)
