from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / "dev"


def run(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DEV, *argv], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_unknown_command_is_one_line_and_exit_2() -> None:
    done = run("dmeo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dev: no command 'dmeo' (./dev help lists them)\n"


@pytest.mark.parametrize("argv", [(), ("help",), ("--help",)])
def test_help_lists_the_commands(argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert done.returncode == 0
    for command in ("demo", "test", "lint", "bench", "lab", "setup"):
        assert f"\n  {command}" in done.stdout


def test_works_from_elsewhere_and_with_closed_standard_input(tmp_path: Path) -> None:
    done = run("help", cwd=tmp_path, preexec_fn=lambda: os.close(0))
    assert done.returncode == 0, done.stderr


def test_locks_name_no_index() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text(), lock.name
