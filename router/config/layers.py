"""The parts of a document that are for this node: the top, and blocks under `nodes`. PURE.

A block says what differs for the nodes it selects. A key of a block stands in place of the
top's (a whole section, such as `announce`, as one); `peers` and `advertisements` add up. Two
blocks that select the same node and give the same key contradict each other: an error, never a
silent order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from router.config.document import Problem, Section
from router.config.selector import read_selector

_ADDED_UP: Final = frozenset({"peers", "advertisements", "select"})


@dataclass(frozen=True, slots=True)
class Layers:
    """What this node reads: the top and the blocks that select it."""

    top: Section
    blocks: tuple[Section, ...]

    def of(self, *keys: str) -> Section:
        """Return the section to read these keys from: the first block with any, else the top."""
        for section in self.all:
            section.expect(*keys)
        found = [block for block in self.blocks if any(map(block.node_of, keys))]
        return found[0] if found else self.top

    @property
    def all(self) -> tuple[Section, ...]:
        """The top and the blocks, in the order of the document."""
        return (self.top, *self.blocks)

    def finish(self) -> None:
        """Report the keys that nobody asked for."""
        for section in self.all:
            section.finish()


def read_layers(top: Section, labels: Mapping[str, str]) -> tuple[Layers, tuple[Section, ...]]:
    """Return the layers of a node with these labels, and the blocks that are not for it."""
    mine: list[Section] = []
    others: list[Section] = []
    for block in top.sections("nodes"):
        selected = read_selector(block).matches(labels)
        (mine if selected else others).append(block)
    _contradictions(mine)
    return Layers(top, tuple(mine)), tuple(others)


def note_problems(top: Section, block: Section, read: Callable[[Layers], object]) -> None:
    """Note what is wrong within another node's block: an error there is an error here.

    What such a node as a whole lacks is not ours to judge: other blocks may give it.
    """
    found: list[Problem] = []
    reader = block.again(found)
    reader.expect("select")
    read(Layers(top.again([]), (reader,)))
    top.problems += found


def _contradictions(blocks: list[Section]) -> None:
    seen: dict[str, Section] = {}
    for block in blocks:
        for key in block.given():
            if key in _ADDED_UP:
                continue
            if key in seen:
                block.problem(
                    f"{seen[key].path} gives it too, and both select this node",
                    block.node_of(key),
                    key,
                )
            seen.setdefault(key, block)
