"""Files that are replaced as a whole, on disks that are full and beside what others put there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from router import whole_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_one_is_there_with_its_mode_and_nothing_beside_it(
    tmp_path: Path, durable: bool
) -> None:
    path = tmp_path / "a.json"
    for content, wanted in ((b"one", 0o644), (b"two", 0o600)):
        whole_file.write(path, content, mode=wanted, durable=durable)
        assert (path.read_bytes(), mode(path)) == (content, wanted)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_former_one_and_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    whole_file.write(path, b"one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        whole_file.write(path, b"two", durable=True)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_put_in_the_way_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    (tmp_path / "a.tmp").symlink_to(other)
    whole_file.write(tmp_path / "a.json", b"ours")
    assert other.read_bytes() == b"theirs"
