"""The node facts as the server last read them. SHELL: one small file, read when it changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from cni.node_facts import MalformedNodeFactsError, NodeFacts, parse

log = logging.getLogger(__name__)


class FactsFile:
    """``node.json``, looked at by stat: a rename in place always changes the inode or the time."""

    def __init__(self, path: Path, may_have_changed: Callable[[], bool] = lambda: True) -> None:
        """``may_have_changed`` since it was last asked: else there is no look at the file."""
        self._path = path
        self._may_have_changed = may_have_changed
        self._seen: tuple[int, int, int] | None = None
        self.facts: NodeFacts | None = None
        self.problem = f"the route agent has not written {path} yet"

    def refresh(self) -> bool:
        """Read the file if it changed; return whether there are new facts.

        What was read last stays valid while the file is missing or malformed.
        """
        if not self._may_have_changed():
            return False
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return False
        identity = (state.st_ino, state.st_mtime_ns, state.st_size)
        if identity == self._seen:
            return False
        try:
            facts = parse(self._path.read_bytes())
        except FileNotFoundError:
            return False
        except MalformedNodeFactsError as error:
            self._seen = identity
            self.problem = f"{self._path} is malformed: {error}"
            log.error("node facts malformed", extra={"path": str(self._path), "error": str(error)})
            return False
        self._seen = identity
        if facts == self.facts:
            return False
        self.facts = facts
        return True
