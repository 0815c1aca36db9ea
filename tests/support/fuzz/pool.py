"""Runs fuzzing processes side by side and watches them: what crashes and what hangs is found.

A process that ends with anything but 0 has crashed at the input of its progress file; one that does
not begin another execution for ``hang_s`` hangs at it, and is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.fuzz.progress import Progress

HANG_S: Final = 20.0
_LOOK_S: Final = 0.1
_ERROR_BYTES: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process; ``argv`` without its last argument, the progress file."""

    target: str
    argv: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job. ``fault``: the end of its standard error; ``report`` only without."""

    target: str
    executions: int
    crashed: bool = False
    hung: bool = False
    fault: str = ""
    data: bytes = b""
    report: Mapping[str, Any] = field(default_factory=dict)


def run_jobs(
    jobs: Sequence[Job], directory: Path, *, at_once: int | None = None, hang_s: float = HANG_S
) -> list[Outcome]:
    """Run every job, as many at once as there are processors; return their outcomes."""
    waiting = list(enumerate(jobs))
    running: list[_Process] = []
    outcomes: list[Outcome] = []
    limit = at_once or os.cpu_count() or 1
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                number, job = waiting.pop(0)
                running.append(_Process(job, directory / f"job{number}", hang_s))
            for process in list(running):
                outcome = process.look()
                if outcome is not None:
                    running.remove(process)
                    outcomes.append(outcome)
            time.sleep(_LOOK_S)
    finally:
        for process in running:
            process.kill()
    return outcomes


class _Process:
    def __init__(self, job: Job, directory: Path, hang_s: float) -> None:
        directory.mkdir()
        self._job = job
        self._hang_s = hang_s
        self._output = directory / "out"
        self._errors = directory / "err"
        self._progress = Progress(directory / "progress", create=True)
        self._seen = -1
        self._seen_s = time.monotonic()
        with self._output.open("wb") as out, self._errors.open("wb") as err:
            self._process = subprocess.Popen(
                [*job.argv, str(directory / "progress")],
                cwd=job.cwd,
                env={**os.environ, **job.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def look(self) -> Outcome | None:
        """Return the outcome, None while it goes on."""
        code = self._process.poll()
        executions, data = self._progress.read()
        if code is None:
            now_s = time.monotonic()
            if executions != self._seen:
                self._seen, self._seen_s = executions, now_s
            if now_s - self._seen_s < self._hang_s:
                return None
            self.kill()
        return self._end(code, executions, data)

    def _end(self, code: int | None, executions: int, data: bytes) -> Outcome:
        self._progress.close()
        errors = self._errors.read_bytes()[-_ERROR_BYTES:].decode("utf-8", "replace")
        return Outcome(
            target=self._job.target,
            executions=executions,
            crashed=code not in (0, None),
            hung=code is None,
            fault=errors if code != 0 else "",
            data=data if code != 0 else b"",
            report=json.loads(self._output.read_text("utf-8")) if code == 0 else {},
        )

    def kill(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
