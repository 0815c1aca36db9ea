"""Hear at once of a new ``node.json`` and of what a shim spools (inotify(7)). SHELL.

An ADD may miss neither. To look at both costs it seven system calls; to ask whether anything was
heard, one: an event is queued before the rename that causes it has returned
(fsnotify_move in fs/namei.c).
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_IN_CLOSE_WRITE: Final = 0x8
_IN_MOVED_TO: Final = 0x80
_EVENTS: Final = _IN_CLOSE_WRITE | _IN_MOVED_TO
"""A rename into place is how the agent and the shim write; a person may write in place."""
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_EVENT: Final = struct.Struct("=iIII")
"""struct inotify_event: wd, mask, cookie, length of the name."""
_READ_BYTES: Final = 4096


class RunWatch:
    """Whether the facts or the spool may have changed since somebody last took note.

    Without inotify, or where a directory cannot be watched: always.
    """

    def __init__(self, facts_path: Path, spool_dir: Path) -> None:
        """Watch both directories as soon as they exist."""
        self._facts_name = facts_path.name.encode()
        self._facts_dir = facts_path.parent
        self._spool_dir = spool_dir
        self._facts_number = self._spool_number = -1
        self._facts_changed = self._spool_changed = True
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._descriptor < 0:
            reason = os.strerror(ctypes.get_errno())
            log.warning("node facts and spool are not watched", extra={"error": reason})
        self.look()

    def fileno(self) -> int | None:
        """Return the inotify descriptor, if there is one."""
        return self._descriptor if self._descriptor >= 0 else None

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def take_facts(self) -> bool:
        """Return whether the file may have changed since the last call."""
        changed, self._facts_changed = self._facts_changed, self._facts_number < 0
        return changed

    def take_spool(self) -> bool:
        """Return whether the directory may have changed since the last call."""
        changed, self._spool_changed = self._spool_changed, self._spool_number < 0
        return changed

    def doubt(self) -> None:
        """Take it that both have changed: what was never heard of is found all the same."""
        self._facts_changed = self._spool_changed = True

    def look(self) -> bool:
        """Take note of what was heard; return whether the facts may have changed."""
        if self._descriptor >= 0:
            if self._facts_number < 0 or self._spool_number < 0:
                self._watch()
            try:
                while True:
                    self._note(os.read(self._descriptor, _READ_BYTES))
            except BlockingIOError:
                pass
        return self._facts_changed

    def _watch(self) -> None:
        if self._facts_number < 0:
            self._facts_number = self._add(self._facts_dir)
        if self._spool_number < 0:
            self._spool_number = self._add(self._spool_dir)
        # Of what came before nothing was heard.
        self.doubt()

    def _add(self, directory: Path) -> int:
        """Watch a directory; return the number its events will carry, -1 if that is impossible."""
        path = os.fsencode(directory)
        return int(self._libc.inotify_add_watch(self._descriptor, path, _EVENTS))

    def _note(self, events: bytes) -> None:
        at = 0
        while at < len(events):
            number, mask, _, length = _EVENT.unpack_from(events, at)
            at += _EVENT.size + length
            name = events[at - length : at].rstrip(b"\0")
            if mask & _IN_Q_OVERFLOW:
                self.doubt()
            elif mask & _IN_IGNORED:
                # The directory was removed: another one may take its place.
                self._forget(number)
            elif number == self._spool_number:
                self._spool_changed = True
            elif name == self._facts_name:
                self._facts_changed = True

    def _forget(self, number: int) -> None:
        if number == self._facts_number:
            self._facts_number = -1
        if number == self._spool_number:
            self._spool_number = -1
        self.doubt()
