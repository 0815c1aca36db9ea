"""All targets, each with its share of the executions: what ``./dev bench fuzz`` runs.

``product`` may be a copy of the tree: then the fuzzers are those of this one, the code under test
is the copy's. So planted bugs are looked for by the very same campaign.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.fuzz.pool import Job, Outcome, run_jobs
from tests.support.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).resolve().parents[3]
SHIM: Final = "cni-shim"
SHIM_PROCESS: Final = "cni-shim-process"

_SHIM_SOURCES: Final = Path(__file__).with_name("shim")
_SANITIZERS: Final = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_SHIM_WEIGHT: Final = 6
_PROCESS_SHARE: Final = 2000
"""One execution in so many is a whole process: a thousand times slower than a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """How much to run. ``only``: names of targets; empty for all."""

    executions: int
    seed: int = 1
    product: Path = ROOT
    only: Collection[str] = ()
    processes: int = os.cpu_count() or 1

    def run(self, directory: Path) -> list[Outcome]:
        """Run it; ``directory`` is for what it needs on the way."""
        weights = {name: target.weight for name, target in TARGETS.items()} | {SHIM: _SHIM_WEIGHT}
        wanted = {name: weight for name, weight in weights.items() if self._is_wanted(name)}
        each = self.executions / max(sum(wanted.values()), 1)
        jobs: list[Job] = []
        for name, weight in wanted.items():
            argv = self._shim(directory) if name == SHIM else (sys.executable, *_WORKER, name)
            jobs += self._jobs(name, argv, round(each * weight))
        if self._is_wanted(SHIM_PROCESS):
            argv = (sys.executable, *_PROCESS, str(self.product))
            jobs += self._jobs(SHIM_PROCESS, argv, max(self.executions // _PROCESS_SHARE, 20))
        return run_jobs(jobs, directory, at_once=self.processes)

    def _is_wanted(self, name: str) -> bool:
        return not self.only or name in self.only

    def _jobs(self, name: str, argv: tuple[str, ...], executions: int) -> list[Job]:
        """Split a share over the processors, each with another seed."""
        share = -(-executions // self.processes)
        return [
            Job(
                target=name,
                argv=(*argv, str(share), str(self.seed * 1000 + number)),
                cwd=self.product,
                environment={
                    "PYTHONPATH": f"{self.product}:{ROOT}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "ASAN_OPTIONS": "detect_leaks=0:hard_rss_limit_mb=2048",
                },
            )
            for number in range(self.processes)
        ]

    def _shim(self, directory: Path) -> tuple[str, ...]:
        return (str(build_shim_fuzzer(self.product, directory)),)


_WORKER: Final = ("-P", "-m", "tests.support.fuzz.worker")
_PROCESS: Final = ("-P", "-m", "tests.support.fuzz.shim_process")


def build_shim_fuzzer(product: Path, directory: Path) -> Path:
    """Compile the shim of ``product`` into the in-process fuzzer; return the program.

    gcc alone: its -fsanitize-coverage=trace-pc tells the fuzzer where the shim has been.
    """
    objects = []
    for name in ("fuzz", "world", "calls"):
        objects.append(directory / f"{name}.o")
        source = _SHIM_SOURCES / f"{name}.c"
        argv = ["gcc", "-Wall", "-Wextra", "-Werror", "-std=gnu11", *_SANITIZERS]
        subprocess.run([*argv, "-c", "-o", objects[-1], source], check=True)
    flags = (
        *(*_SANITIZERS, "-fsanitize-coverage=trace-pc", "-include", str(_SHIM_SOURCES / "world.h")),
        *map(str, objects),
    )
    return _build(product, directory / SHIM, flags)


def build_sanitized_shim(product: Path, directory: Path) -> Path:
    """Compile the shim of ``product`` under sanitizers; its run directory is ``directory``/run."""
    run_dir = f'-DRUN_DIR="{directory}/run"'
    return _build(product, directory / SHIM_PROCESS, (*_SANITIZERS, run_dir))


def _build(product: Path, output: Path, flags: tuple[str, ...]) -> Path:
    # In a process of its own: the build script is the product's, maybe another than ours.
    script = (
        "import sys; from pathlib import Path; from cni.shim.build import build;"
        "build(Path(sys.argv[1]), compiler='gcc', flags=sys.argv[2:])"
    )
    argv = [sys.executable, "-P", "-c", script, str(output), "-U_FORTIFY_SOURCE", *flags]
    subprocess.run(argv, check=True, cwd=product, env={**os.environ, "PYTHONPATH": str(product)})
    return output
