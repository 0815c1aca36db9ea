"""`podroute completion`: what a real bash offers, from the commands' own parser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from router.cli.main import main

ASK = """
set -u
source "$1"; shift
COMP_WORDS=(podroute "$@"); COMP_CWORD=$#
_podroute
printf '%s\\n' "${COMPREPLY[@]:-}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("completion") / "podroute"
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return str(path)


def offered(script: str, *words: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", script, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sta"], ["status"]),
        (["peers", "-o", ""], ["table", "wide", "json", "yaml"]),
        (["peers", "--output", "j"], ["json"]),
        (["--run-dir", "/x", "un"], ["undrain", "uninstall"]),
        (["cni", "i"], ["install"]),
        (["--cluster", "r"], ["routes"]),
        (["--cluster", "routes", ""], ["received", "accepted", "announced", "kernel"]),
        (["--cluster", "peers", "--node", "node1", "--st"], ["--state"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["nosuch", "x"], []),
    ],
)
def test_what_bash_offers(script: str, words: list[str], expected: list[str]) -> None:
    assert offered(script, *words) == expected


def test_a_word_that_stands_for_a_file_completes_files(script: str) -> None:
    assert "/etc/passwd" in offered(script, "--run-dir", "/etc/pass")


def test_every_command_is_offered(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nosuch"])
    known = capsys.readouterr().err.partition("(choose from ")[2].rstrip(")\n")
    names = {name.strip("' ") for name in known.split(",")}
    assert names
    assert set(offered(script, "")) == {*names, "--cluster"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_theirs(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "support-bundle" in text
    if shutil.which(shell) is not None:  # whether the shell takes it, only the shell says
        path = tmp_path / "script"
        path.write_text(text)
        subprocess.run([shell, "-n", path], check=True)
