"""What `podroute` says to wrong words, before it asks anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.cli.main import main
from tests.support.agent import CONFIG


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["routes", "banana"], "not a prefix: 'banana': the address is not valid"),
        (["routes", "10.0.0.1/24"], "host bits are set"),
        (["drain", "--prepend", "99"], "'99' must be a whole number up to 16"),
        (["drain", "--prepend", "-1"], "'-1' must be"),
        (["drain", "--wait", "nan"], "'nan' must be seconds from 0 to 3600"),
        (["undrain", "--now"], "unrecognized arguments"),
    ],
)
def test_wrong_usage_is_status_2(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "nonsense: 1\n"])
def test_a_configuration_that_cannot_be_used_is_status_2(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    if content is not None:
        file.write_text(content)
    assert main(["router", "--config", str(file), "--check"]) == 2
    told = capsys.readouterr()
    assert str(file) in told.err
    assert told.out == ""


def test_a_valid_configuration_is_status_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    assert main(["router", "--config", str(file), "--check"]) == 0
    assert f"{file}: valid; node " in capsys.readouterr().out
