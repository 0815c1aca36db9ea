"""What the server hears of the facts and of the spool, and that it never hears too little."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cni.server.run_watch import RunWatch
from cni.server.spool import Spool
from cni.wire import Request, render_request

DEL = render_request(Request(variables={"CNI_COMMAND": "DEL"}, stdin=b"{}"))


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[RunWatch]:
    (tmp_path / "spool").mkdir()
    watch = RunWatch(tmp_path / "node.json", tmp_path / "spool")
    yield watch
    watch.close()


def put(path: Path, content: bytes = b"{}") -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    temporary.rename(path)


def heard(watch: RunWatch) -> tuple[bool, bool]:
    watch.look()
    return watch.take_facts(), watch.take_spool()


def test_at_first_everything_may_have_changed(watch: RunWatch) -> None:
    assert heard(watch) == (True, True)
    assert heard(watch) == (False, False)


def test_each_is_told_of_its_own(watch: RunWatch, tmp_path: Path) -> None:
    heard(watch)
    put(tmp_path / "something-else")
    assert heard(watch) == (False, False)
    put(tmp_path / "node.json")
    assert heard(watch) == (True, False)
    put(tmp_path / "spool" / "node.json")
    assert heard(watch) == (False, True)
    (tmp_path / "node.json").write_bytes(b"written in place")
    assert heard(watch) == (True, False)


def test_nothing_is_forgotten_before_it_is_taken(watch: RunWatch, tmp_path: Path) -> None:
    heard(watch)
    put(tmp_path / "node.json")
    assert watch.look()
    assert watch.look()
    assert watch.take_facts()
    assert not watch.look()


def test_more_than_the_kernel_keeps(watch: RunWatch, tmp_path: Path) -> None:
    heard(watch)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))
    for number in range(limit // 2 + 50):
        # Equal events in a row are told once.
        (tmp_path / f"{number % 2}").write_bytes(b"")
        put(tmp_path / "x")
    put(tmp_path / "spool" / "1")
    assert heard(watch) == (True, True)


def test_a_spool_that_is_removed_and_made_again(watch: RunWatch, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", watch.take_spool)
    watch.look()
    assert list(spool.pending()) == []
    shutil.rmtree(tmp_path / "spool")
    assert heard(watch)[1]
    assert heard(watch)[1]
    (tmp_path / "spool").mkdir()
    put(tmp_path / "spool" / "1", DEL)
    watch.look()
    assert [name for name, _ in spool.pending()] == ["1"]


def test_a_spool_that_was_not_empty_is_read_again(watch: RunWatch, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", watch.take_spool)
    put(tmp_path / "spool" / "1", DEL)
    for _ in range(3):
        watch.look()
        assert [name for name, _ in spool.pending()] == ["1"]
    spool.discard("1")
    watch.look()
    assert list(spool.pending()) == []
    (tmp_path / "spool" / "unheard").write_bytes(DEL)
    heard(watch)
    assert list(spool.pending()) == []
    watch.doubt()
    assert [name for name, _ in spool.pending()] == ["unheard"]


def test_what_cannot_be_watched_may_always_have_changed(tmp_path: Path) -> None:
    watch = RunWatch(tmp_path / "nowhere" / "node.json", tmp_path / "spool")
    try:
        for _ in range(3):
            assert heard(watch) == (True, True)
    finally:
        watch.close()
    assert watch.fileno() is None
