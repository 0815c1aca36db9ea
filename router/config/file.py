"""Follow a configuration file while the agent runs (invariant 10). SHELL.

A file with an error changes nothing: the settings in force stay, and `problem` says where the
error is until the file is right again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from router.config.document import ConfigError
from router.config.settings import AgentSettings

Read = Callable[[Path], AgentSettings]
"""Raises OSError, UnicodeDecodeError or ConfigError."""


class _Version(NamedTuple):
    inode: int
    size: int
    modified_ns: int


class ConfigFile:
    """One file, read again whenever it was replaced or written."""

    def __init__(self, path: Path, read: Read) -> None:
        """Read nothing yet."""
        self._path = path
        self._read = read
        self._seen: _Version | None = None
        self.problem = ""
        """Why the file as it is now is not in force; '' if it is."""

    def first(self) -> AgentSettings:
        """Read it now. Raises what `Read` raises."""
        self._seen = self._version()
        return self._read(self._path)

    def changed(self) -> AgentSettings | None:
        """Return new settings if the file has changed and is valid; costs one stat call."""
        try:
            version = self._version()
            if version == self._seen:
                return None
            self._seen = version
            settings = self._read(self._path)
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            self.problem = str(error)
            return None
        self.problem = ""
        return settings

    def _version(self) -> _Version:
        status = self._path.stat()
        return _Version(status.st_ino, status.st_size, status.st_mtime_ns)
