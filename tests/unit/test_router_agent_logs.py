"""Log lines that wait until there is time for them."""

from __future__ import annotations

import ast
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

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


def test_times_are_utc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        set_up_logs("info", "json")
        logging.getLogger("x").info("said")
    finally:
        monkeypatch.undo()
        time.tzset()
    said = datetime.fromisoformat(json.loads(capsys.readouterr().err)["time"])
    assert abs((datetime.now(UTC) - said).total_seconds()) < 60


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        (7, "7"),
        ("two words", '"two words"'),
        ("", '""'),
        ("10.0.0.1/24", "10.0.0.1/24"),
        ("x\n00:00:00 ERROR   forged", '"x\\n00:00:00 ERROR   forged"'),
        ("a=b", '"a=b"'),
    ],
)
def test_a_field_on_a_console_is_one_word(
    value: object, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs("info", "console")
    logging.getLogger("x").info("said", extra={"field": value, "next": 1})
    line = capsys.readouterr().err
    assert line.endswith(f"INFO    said  field={shown} next=1\n")
    assert line.count("\n") == 1


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Give every call of a logger in the product."""
    root = Path(__file__).resolve().parents[2]
    for path in (each for top in ("router", "cni", "bgp") for each in (root / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "_log")
            ):
                yield f"{path.name}:{node.lineno}", node


def test_every_phrase_is_constant_and_what_varies_is_in_fields() -> None:
    found = list(calls())
    assert len(found) > 50
    for where, call in found:
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr not in ("debug", "info", "warning", "error", "exception", "log"):
            continue
        (phrase,) = call.args[1:] if call.func.attr == "log" else call.args
        either = [phrase.body, phrase.orelse] if isinstance(phrase, ast.IfExp) else [phrase]
        for each in either:
            assert isinstance(each, ast.Constant), where
            assert "%" not in str(each.value), where
        assert {keyword.arg for keyword in call.keywords} <= {"extra", "exc_info"}, where
