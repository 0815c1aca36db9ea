"""Following the files of a configuration: replaced, broken, gone, right again."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.agent.source import SettingsSource
from router.config.file import DocumentFile, PasswordFiles
from tests.support.agent import CONFIG


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "c.yaml").write_text(CONFIG)
    return SettingsSource(
        document=DocumentFile(tmp_path / "c.yaml"), cluster=None, host_name="host"
    )


def replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_settings_come_once_until_the_file_changes(source: SettingsSource, tmp_path: Path) -> None:
    first = source.take(())
    assert first is not None
    assert first.local_asn == 65201
    assert source.take(()) is None
    replace(tmp_path / "c.yaml", CONFIG.replace("65201", "65299"))
    changed = source.take(())
    assert changed is not None
    assert changed.local_asn == 65299
    assert source.take(()) is None


def test_a_wrong_file_is_told_until_it_is_right_again(
    source: SettingsSource, tmp_path: Path
) -> None:
    source.take(())
    replace(tmp_path / "c.yaml", CONFIG.replace("65201", "x"))
    for _ in range(2):
        assert source.take(()) is None
        assert "c.yaml: line 3: local_asn" in source.problem
    replace(tmp_path / "c.yaml", CONFIG + "\n")
    assert source.take(()) is None  # the settings are those in force
    assert source.problem == ""


@pytest.mark.parametrize("breaking", ["unlink", "bytes"])
def test_a_missing_or_binary_file_changes_nothing(
    source: SettingsSource, tmp_path: Path, breaking: str
) -> None:
    source.take(())
    if breaking == "unlink":
        (tmp_path / "c.yaml").unlink()
    else:
        (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    assert source.take(()) is None
    assert source.problem


def test_a_rotated_password_is_a_change(source: SettingsSource, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("one\n")
    text = CONFIG.replace("remote_asn: 65101", f"remote_asn: 65101, password_file: {password}")
    replace(tmp_path / "c.yaml", text)
    first = source.take(())
    assert first is not None
    assert source.take(()) is None
    replace(password, "two\n")
    second = source.take(())
    assert second is not None
    assert first.peers[0].password != second.peers[0].password
    assert first.peers[1] == second.peers[1]


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"secret\r\nrest\n")
    assert PasswordFiles().read(str(tmp_path / "p")).reveal() == b"secret"


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"node: \xff")
    for name, reason in {
        "none.yaml": "No such file or directory",
        ".": "Is a directory",
        "bytes.yaml": "not a text in UTF-8: byte 7 begins no character",
    }.items():
        document = DocumentFile(tmp_path / name)
        with pytest.raises(OSError, match=reason) as caught:
            document.text()
        assert str(caught.value) == f"{tmp_path / name}: {reason}"
