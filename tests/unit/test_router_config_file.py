"""Following a configuration file: replaced, broken, gone, right again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.file import ConfigFile
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from tests.support.agent import CONFIG


def read(path: Path) -> AgentSettings:
    return load_settings(
        path.read_text(),
        source=path.name,
        surroundings=Surroundings(host_name="h", read_password=lambda _: Secret("x")),
    )


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    (tmp_path / "c.yaml").write_text(CONFIG)
    return ConfigFile(tmp_path / "c.yaml", read)


def replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_file_is_read_once_until_it_changes(file: ConfigFile, tmp_path: Path) -> None:
    assert file.first().local_asn == 65201
    assert file.changed() is None
    replace(tmp_path / "c.yaml", CONFIG.replace("65201", "65299"))
    changed = file.changed()
    assert changed is not None
    assert changed.local_asn == 65299
    assert file.changed() is None


def test_a_wrong_file_is_told_until_it_is_right_again(file: ConfigFile, tmp_path: Path) -> None:
    file.first()
    replace(tmp_path / "c.yaml", CONFIG.replace("65201", "x"))
    assert file.changed() is None
    assert "c.yaml: line 3: local_asn" in file.problem
    assert file.changed() is None
    assert file.problem
    replace(tmp_path / "c.yaml", CONFIG)
    assert file.changed() is not None
    assert file.problem == ""


@pytest.mark.parametrize("breaking", ["unlink", "bytes"])
def test_a_missing_or_binary_file_changes_nothing(
    file: ConfigFile, tmp_path: Path, breaking: str
) -> None:
    file.first()
    if breaking == "unlink":
        (tmp_path / "c.yaml").unlink()
    else:
        (tmp_path / "c.yaml").write_bytes(b"\xff\xfe")
    assert file.changed() is None
    assert file.problem


def test_the_first_reading_raises(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: 1")
    with pytest.raises(ConfigError):
        ConfigFile(tmp_path / "c.yaml", read).first()
