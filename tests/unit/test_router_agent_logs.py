"""Log lines that wait until there is time for them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from router.agent.logs import set_up_logs


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


def test_lines_are_written_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "json")
    logging.getLogger("x").info("said", extra={"field": 1})
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["field"]) == ("said", "info", 1)


def test_held_back_lines_come_in_order_with_a_flush_or_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logs("info", "json", hold_back=True)
    log = logging.getLogger("x")
    log.info("first")
    assert capsys.readouterr().err == ""
    for handler in logging.getLogger().handlers:
        handler.flush()
    log.info("second")
    log.warning("third")
    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["first", "second", "third"]
