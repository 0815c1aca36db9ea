"""Place: somewhere programs run, and Probe: one of our probe programs running there."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

PROBES = Path(__file__).resolve().parent
# The interpreter below the virtual environment: probes use the standard library only.
PYTHON = str(Path(sys.executable).resolve())


class Place(Protocol):
    """A node, a pod or a test namespace."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def popen(
        self, argv: Sequence[str], *, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[str]:
        """Start a program inside, with text pipes; it ends with the place at the latest."""


class ProbeError(RuntimeError):
    """A probe program did not start, or did not come to an end with a result."""


class Probe:
    """A probe program: says "ready", works, and answers one JSON value when told to stop."""

    def __init__(self, place: Place, program: str, *arguments: str) -> None:
        """Start ``measure/<program>.py`` at *place*."""
        self._what = f"{program} {arguments[0]} at {place.name}"
        self._process = place.popen(
            [PYTHON, "-I", "-S", str(PROBES / f"{program}.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_ready(self, *, deadline_s: float = 10) -> None:
        """Return once the program said "ready"; ProbeError with its words otherwise."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], deadline_s)[0]:
            raise ProbeError(f"{self._what}: not ready within {deadline_s} s")
        if self._process.stdout.readline() != "ready\n":
            raise ProbeError(f"{self._what}: {self._complaint()}")

    def tell(self, line: str = "") -> None:
        """Write one line to the program."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ProbeError(f"{self._what}: {self._complaint()}") from None

    def finish(self, *, timeout_s: float = 15) -> Any:
        """End the program's input and return the JSON value it answers (None if it has none)."""
        try:
            answer, complaint = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ProbeError(f"{self._what}: no result within {timeout_s} s") from None
        if self._process.returncode != 0:
            raise ProbeError(f"{self._what}: {complaint.strip()}")
        return json.loads(answer) if answer.strip() else None

    def _complaint(self) -> str:
        try:
            _, complaint = self._process.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            return "no sense made of its answer"
        return complaint.strip() or f"ended with status {self._process.returncode}"

    def abandon(self) -> None:
        """End the program without its result; does nothing after ``finish``."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
