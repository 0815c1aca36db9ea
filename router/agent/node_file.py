"""Write node.json, by which the CNI server learns of the node (design D14). SHELL."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from cni.node_facts import MalformedNodeFactsError, NodeFacts, parse, render
from router import whole_file


class NodeFile:
    """The file; written atomically, and only when the facts differ from those in it."""

    def __init__(self, path: Path) -> None:
        """Take over the generation count of a file that is there already."""
        self._path = path
        self._written: NodeFacts | None = None
        with contextlib.suppress(OSError, MalformedNodeFactsError):
            self._written = parse(path.read_bytes())

    def publish(self, facts: NodeFacts) -> None:
        """Make the file say `facts`; its generation is one more than the last one's."""
        before = self._written
        generation = before.generation if before is not None else 0
        same = before == replace(facts, generation=generation)
        if same and self._path.exists():
            return
        facts = replace(facts, generation=generation + 1)
        whole_file.write(self._path, render(facts))
        self._written = facts
