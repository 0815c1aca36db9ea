"""Every bench runs and reports as it should; whether its bounds hold is for the bench to say."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHES = sorted(path.stem.removeprefix("bench_") for path in ROOT.glob("tests/bench/bench_*.py"))


@pytest.mark.e2e
@pytest.mark.parametrize("name", BENCHES)
def test_a_quick_bench_reports_within_a_minute(name: str) -> None:
    done = subprocess.run(
        [ROOT / "dev", "bench", name, "--json", "--quick"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=75,
    )
    checks = json.loads(done.stdout)["checks"]
    assert checks, done.stderr
    for check in checks:
        assert {"name", "value", "unit", "bound", "ok", "samples"} <= check.keys()
    assert (done.returncode == 0) == all(check["ok"] for check in checks)


def test_the_benches_are_listed() -> None:
    listed = subprocess.run([ROOT / "dev", "bench"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == BENCHES


def test_an_unknown_bench_is_one_line_and_exit_2() -> None:
    done = subprocess.run(
        [ROOT / "dev", "bench", "nosuch"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dev: no bench 'nosuch' (./dev bench lists them)\n"
