"""Which addresses of Services were announced last, for an agent that starts without the API. SHELL.

On tmpfs: kept over a restart of the agent, gone with a reboot, after which no endpoint is ready.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from bgp.nlri import Prefix
from router import whole_file
from router.reconcile.services import ServiceSettings

_log = logging.getLogger(__name__)
_VERSION: Final = 2


class Remembered(NamedTuple):
    """Addresses that were announced, by themselves or in an aggregate."""

    announced: frozenset[Prefix] = frozenset()
    everywhere: frozenset[Prefix] = frozenset()
    """Those that every node can serve."""

    def only(self, keep: Callable[[Prefix], bool]) -> Remembered:
        """Return those of them that pass."""
        return Remembered(*(frozenset(filter(keep, each)) for each in self))


class ServiceMemory(Protocol):
    """Remembers what was announced; `ServiceFile` is the real one."""

    def load(self, settings: ServiceSettings) -> Remembered:
        """Return what was saved under the same settings; nothing if there is nothing usable."""

    def save(self, settings: ServiceSettings, found: Remembered) -> None:
        """Keep it. Never raises: an agent that cannot remember still announces."""


class NoServiceMemory:
    """Nothing is remembered."""

    def load(self, settings: ServiceSettings) -> Remembered:
        """Return nothing."""
        return Remembered()

    def save(self, settings: ServiceSettings, found: Remembered) -> None:
        """Do nothing."""


class ServiceFile:
    """One small file, written atomically and only when it would differ."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._written: tuple[ServiceSettings, Remembered] | None = None

    def load(self, settings: ServiceSettings) -> Remembered:
        """Return what was saved under the same settings; nothing if there is nothing usable."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            found = json.loads(self._path.read_bytes())
            if (found["version"], found["settings"]) == (_VERSION, _plain(settings)):
                return Remembered(
                    *(frozenset(map(Prefix.parse, found[key])) for key in Remembered._fields)
                )
        return Remembered()

    def save(self, settings: ServiceSettings, found: Remembered) -> None:
        """Keep it. Never raises: an agent that cannot remember still announces."""
        if (settings, found) == self._written:
            return
        self._written = settings, found
        content = {
            "version": _VERSION,
            "settings": _plain(settings),
            **{key: list(map(str, sorted(each))) for key, each in found._asdict().items()},
        }
        try:
            whole_file.write(self._path, json.dumps(content).encode())
        except OSError as error:
            _log.warning("cannot remember the Services announced", extra={"error": str(error)})


def _plain(settings: ServiceSettings) -> Any:
    """Return the settings as they come back out of JSON."""
    return json.loads(json.dumps(asdict(settings)))
