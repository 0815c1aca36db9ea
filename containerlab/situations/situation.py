"""Situation: something that is broken, and what the doctor must say of it first. PURE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from containerlab.situations.scene import Scene

Finding = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One broken situation, with its judge."""

    name: str
    broken: str
    """What is done, in words."""
    apply: Callable[[Scene], AbstractContextManager[None]]
    """Breaks when it is entered, mends when it is left."""
    finding: str
    """The name that the first finding must have."""
    words: Sequence[str]
    """All of these must stand in its text or evidence: the object, and what was seen of it."""
    host: int = 0
    """On which of the nodes the doctor is asked."""
    fast: bool = False
    """Tried by the tests that run with every change; the others are slow."""

    def why_not(self, findings: Sequence[Finding]) -> str:
        """Return "" if the cause is named first, else what was said."""
        if not findings:
            return "nothing found"
        first = findings[0]
        said = f"{first['text']} {first['evidence']}"
        missing = [word for word in self.words if word not in said]
        if first["name"] == self.finding and not missing and first["fix"]:
            return ""
        names = [each["name"] for each in findings]
        return f"{names}; first: {said}" + (f"; without {missing}" if missing else "")
