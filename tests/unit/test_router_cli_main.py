"""What `podroute` says to wrong words, before it asks anybody."""

from __future__ import annotations

import pytest

from router.cli.main import main


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
