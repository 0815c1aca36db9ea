"""What `podroute` says to somebody who is not root: one line, with what to do."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from cni.server.offline import read_overview
from router.agent.cni_door import ask_server
from router.cli import pods
from router.cli.main import main
from router.cli.refusal import in_words
from tests.support.fake_dataplane import FakeDataplane

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


def no_socket(_path: Path) -> None:
    """Leave the directory as it is."""


def socket_of_a_dead_server(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))


@pytest.mark.parametrize("leave", [no_socket, socket_of_a_dead_server])
def test_pods_says_without_numbers_that_no_server_runs(
    leave: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leave(tmp_path / "cni.sock")
    empty = json.loads(read_overview(FakeDataplane(), tmp_path).render())
    monkeypatch.setattr(pods, "look_at_kernel", lambda _run_dir: empty)
    assert main(["--run-dir", str(tmp_path), "pods"]) == 0
    assert capsys.readouterr().err == (
        "podroute pods: the CNI server does not answer: it does not run (nobody listens at"
        f" {tmp_path}/cni.sock); see systemctl status podroute-cni, or the log of its container."
        " This is what the kernel has. Pods keep working; new ones wait.\n"
    )


def test_a_server_that_says_nothing_is_told_apart(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "cni.sock"))
        listening.listen()
        with pytest.raises(OSError, match=r"^it runs and said nothing for 0\.05 s$"):
            ask_server(tmp_path, timeout_s=0.05)
