"""What `podroute` says to somebody who is not root: one line, with what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from router.cli import pods
from router.cli.main import main
from router.cli.refusal import in_words

SOMEBODY = 1000


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    monkeypatch.setattr(os, "access", lambda *_: False)


def refused(path: str) -> PermissionError:
    return PermissionError(errno.EACCES, "Permission denied", path)


@pytest.mark.usefixtures("somebody")
def test_a_refused_file_is_named_with_what_to_do() -> None:
    assert in_words(refused("/run/x")) == "permission denied: /run/x; run it as root"
    assert in_words(ValueError("wrong")) == "wrong"


def test_root_is_not_told_to_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "root" not in in_words(refused("/run/x"))


@pytest.mark.usefixtures("somebody")
def test_the_bfd_daemon_says_it_once_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--run-dir", str(tmp_path), "bfd"]) == 1
    expected = f"podroute: permission denied: {tmp_path / 'bfd'}; run it as root\n"
    assert capsys.readouterr().err == expected


def test_a_refusal_of_root_is_no_plain_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        main(["--run-dir", str(tmp_path), "bfd"])


@pytest.mark.usefixtures("somebody")
def test_the_doctor_does_not_call_daemons_away_that_it_may_not_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "router.sock").touch()
    assert main(["--run-dir", str(tmp_path), "doctor"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "podroute doctor: only root may look at it all; run it as root\n"


def test_pods_does_not_call_a_server_away_that_it_may_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(_run_dir: Path) -> pods.Json:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pods, "ask_server", ask)
    assert main(["--run-dir", str(tmp_path), "pods"]) == 1
    told = capsys.readouterr().err
    assert told == "podroute pods: only root may ask the CNI server; run it as root\n"
