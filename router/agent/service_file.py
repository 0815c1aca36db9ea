"""Which addresses of Services were announced last, for an agent that starts without the API. SHELL.

On tmpfs: kept over a restart of the agent, gone with a reboot, after which no endpoint is ready.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

from bgp.nlri import Prefix
from router.reconcile.services import ServiceSettings

_log = logging.getLogger(__name__)
_VERSION: Final = 1


class ServiceMemory(Protocol):
    """Remembers what was announced; `ServiceFile` is the real one."""

    def load(self, settings: ServiceSettings) -> frozenset[Prefix]:
        """Return what was saved under the same settings; nothing if there is nothing usable."""

    def save(self, settings: ServiceSettings, announced: frozenset[Prefix]) -> None:
        """Keep it. Never raises: an agent that cannot remember still announces."""


class NoServiceMemory:
    """Nothing is remembered."""

    def load(self, settings: ServiceSettings) -> frozenset[Prefix]:
        """Return nothing."""
        return frozenset()

    def save(self, settings: ServiceSettings, announced: frozenset[Prefix]) -> None:
        """Do nothing."""


class ServiceFile:
    """One small file, written atomically and only when it would differ."""

    def __init__(self, path: Path) -> None:
        """Touch nothing yet."""
        self._path = path
        self._written: tuple[ServiceSettings, frozenset[Prefix]] | None = None

    def load(self, settings: ServiceSettings) -> frozenset[Prefix]:
        """Return what was saved under the same settings; nothing if there is nothing usable."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            found = json.loads(self._path.read_bytes())
            if (found["version"], found["settings"]) == (_VERSION, _plain(settings)):
                return frozenset(Prefix.parse(text) for text in found["announced"])
        return frozenset()

    def save(self, settings: ServiceSettings, announced: frozenset[Prefix]) -> None:
        """Keep it. Never raises: an agent that cannot remember still announces."""
        if (settings, announced) == self._written:
            return
        self._written = settings, announced
        content = {
            "version": _VERSION,
            "settings": _plain(settings),
            "announced": [str(prefix) for prefix in sorted(announced)],
        }
        fresh = self._path.with_suffix(".tmp")
        try:
            fresh.write_text(json.dumps(content))
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("cannot remember the Services announced", extra={"error": str(error)})


def _plain(settings: ServiceSettings) -> Any:
    """Return the settings as they come back out of JSON."""
    return json.loads(json.dumps(asdict(settings)))
