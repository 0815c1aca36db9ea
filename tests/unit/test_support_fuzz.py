"""The fuzzers' own machinery: arms, mutations, and the watch over processes."""

from __future__ import annotations

import json
import random
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.fuzz.instrument import instrument
from tests.support.fuzz.mutate import MAX_BYTES, Mutator
from tests.support.fuzz.pool import Job, run_jobs

MODULE = """
def f(x):
    if x > 1 and x < 9:
        y = "some" if x == 2 else "other"
    for _ in range(x):
        pass
    try:
        return [each for each in (1, x) if each > 1], 1 // x
    except ZeroDivisionError:
        return None
"""


def test_every_arm_of_every_branch_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fuzzed_module.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    coverage = instrument(("fuzzed_module",))
    module = sys.modules.pop("fuzzed_module")
    reached = []
    for value in (0, 2, 3, 10, 0):
        coverage.begin()
        module.f(value)
        reached.append(coverage.is_new())
    assert reached == [True, True, True, False, False]
    assert len(coverage.places) == 10
    assert coverage.reached() == set(coverage.places)


def test_mutations_are_bounded_and_repeatable() -> None:
    def made() -> list[bytes]:
        mutator = Mutator(random.Random(5), (b"[" * 9000, b"{"), is_json=True)
        return [mutator.mutate((b'{"a":[1,{"b":null}]}', b"\xff")) for _ in range(2000)]

    inputs = made()
    assert inputs == made()
    assert max(map(len, inputs)) <= MAX_BYTES
    assert len(set(inputs)) > 500


def test_deaths_and_hangs_are_told_with_their_input(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from tests.support.fuzz.progress import Progress
        progress = Progress(Path(sys.argv[2]))
        progress.record(7, b"poison")
        if sys.argv[1] == "die":
            os.kill(os.getpid(), 11)
        while sys.argv[1] == "hang":
            pass
        print('{"executions": 7}')
    """)
    jobs = [
        Job(target=what, argv=(sys.executable, "-c", script, what), cwd=Path.cwd())
        for what in ("end", "die", "hang")
    ]
    outcomes = {each.target: each for each in run_jobs(jobs, tmp_path, hang_s=1)}
    assert {name: (each.crashed, each.hung) for name, each in outcomes.items()} == {
        "end": (False, False),
        "die": (True, False),
        "hang": (False, True),
    }
    assert outcomes["hang"].data == outcomes["die"].data == b"poison"
    assert json.dumps(outcomes["end"].report) == '{"executions": 7}'
