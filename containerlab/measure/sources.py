"""Who the receiver of a TCP connection sees: servers at places, and askers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from containerlab.measure.place import PROBES, PYTHON, Place, Probe, ProbeError

PORT = 5006


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One connection to make: from where, to which address, and who should be seen there."""

    name: str
    asker: Place
    address: str
    expected: str | None
    """The address the server must see; None: the one the asker's own socket has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one question."""

    question: Question
    seen: str | None
    local: str | None
    error: str | None

    @property
    def kept(self) -> bool:
        """Whether the server saw the address it should."""
        expected = self.question.expected or self.local
        return self.error is None and self.seen == self.local == expected

    def to_sample(self) -> dict[str, str]:
        """Return the answer for a report."""
        seen = self.error or f"{self.seen}" if self.kept else self._mismatch()
        return {"connection": self.question.name, "to": self.question.address, "seen": seen}

    def _mismatch(self) -> str:
        if self.error:
            return self.error
        return f"{self.seen}, not {self.question.expected or self.local}"


@contextmanager
def servers(places: Iterable[Place]) -> Iterator[None]:
    """Run a server at every place for the time of the block."""
    with ExitStack() as stack:
        probes = [Probe(place, "tcp_probe", "serve", str(PORT)) for place in places]
        for probe in probes:
            stack.callback(probe.abandon)
        for probe in probes:
            probe.wait_ready()
        yield


def ask(questions: Sequence[Question]) -> tuple[Answer, ...]:
    """Make all connections, those of one asker one after the other in one process."""
    answers: list[Answer] = []
    for asker in dict.fromkeys(question.asker for question in questions):
        mine = [question for question in questions if question.asker is asker]
        targets = json.dumps([[question.address, PORT] for question in mine])
        process = asker.popen(
            [PYTHON, "-I", "-S", str(PROBES / "tcp_probe.py"), "ask", targets],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        text, complaint = process.communicate(timeout=10 + 4 * len(mine))
        if process.returncode:
            raise ProbeError(f"tcp_probe ask at {asker.name}: {complaint.strip()}")
        answers += [
            Answer(
                question=question,
                seen=said.get("seen"),
                local=said.get("local"),
                error=said.get("error"),
            )
            for question, said in zip(mine, json.loads(text), strict=True)
        ]
    return tuple(answers)
