"""Errors of the runner: one base, so that a caller can catch everything a lab can refuse.

Attributes hold data, the text is made in `__str__`: what failed, on what, then the cause.
"""

from collections.abc import Sequence
from pathlib import Path


class LabError(Exception):
    """Base of every error this package raises on purpose."""


class TopologyError(LabError):
    """A topology file that cannot be run; carries every problem found, not only the first."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        """Keep all `problems`, each already naming node and key."""
        super().__init__(path, tuple(problems))
        self.path = path
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(f"{self.path}: {problem}" for problem in self.problems)


class HostError(LabError):
    """This machine lacks something the lab needs (a right, a program, a file); lists it all."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep all `problems`, each naming the node that needs it."""
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class NodeError(LabError):
    """Something inside one node failed."""

    def __init__(self, node: str, what: str, output: str = "") -> None:
        """Name the node, what was tried and, if there is any, what the program said."""
        super().__init__(node, what, output)
        self.node = node
        self.what = what
        self.output = output.strip()

    def __str__(self) -> str:
        text = f"node {self.node}: {self.what}"
        return f"{text}:\n{self.output}" if self.output else text


class KeeperError(LabError):
    """A lab that `up` left running could not be found, or one is running already."""
