"""The spool under rubbish, and without a directory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cni.server.spool import Spool
from cni.wire import Request, render_request

DEL = Request(variables={"CNI_COMMAND": "DEL"}, stdin=b"{}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_what_shims_left_comes_oldest_first(directory: Path) -> None:
    spool = Spool(directory)
    for name in ("2", "1", ".half"):
        (directory / name).write_bytes(render_request(DEL))
    assert list(spool.pending()) == [("1", DEL), ("2", DEL)]
    spool.discard("1")
    assert [name for name, _ in spool.pending()] == ["2"]


def test_somebody_removed_the_directory(directory: Path) -> None:
    spool = Spool(directory)
    directory.rmdir()
    assert list(spool.pending()) == []
    spool.remove_abandoned()
    spool.discard("1")


@pytest.mark.timeout(10)
def test_what_is_no_request_is_removed_and_never_waited_for(directory: Path) -> None:
    spool = Spool(directory)
    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to("/dev/zero")
    (directory / "rubbish").write_bytes(b"x")
    (directory / "directory").mkdir()
    # An alarm inside would be an OSError like any other there.
    started_s = time.monotonic()
    assert list(spool.pending()) == []
    assert time.monotonic() - started_s < 5
    assert [path.name for path in directory.iterdir()] == ["directory"]


def test_only_what_is_old_is_abandoned(directory: Path) -> None:
    spool = Spool(directory)
    for name in (".old", ".new", "whole"):
        (directory / name).touch()
    os.utime(directory / ".old", (0, 0))
    spool.remove_abandoned()
    assert sorted(path.name for path in directory.iterdir()) == [".new", "whole"]
