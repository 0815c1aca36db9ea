"""The little CEL that runs our rules says what CEL says, and refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cel import CelError, holds


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ("has(self.a)", {"a": 1}, True),
        ("has(self.a.b)", {"a": {}}, False),
        ("!has(self.a) || self.a == 'x'", {}, True),
        ("!has(self.a) || self.a == 'x'", {"a": "y"}, False),
        ("(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) == 1", {"b": 1}, True),
        ("(has(self.a) ? 1 : 0) + (has(self.b) ? 1 : 0) == 1", {"a": 1, "b": 1}, False),
        ("size(self.a) > 0 && self.b", {"a": [1], "b": True}, True),
        ("self.a <= self.b", {"a": 3, "b": 2}, False),
        ("self.a != 'x' && true", {"a": "y"}, True),
    ],
)
def test_rules(rule: str, value: dict[str, Any], expected: bool) -> None:
    assert holds(rule, value) is expected


@pytest.mark.parametrize(
    "rule", ["", "has(self.a", "self.a ==", "self.a.exists(x, x > 1)", "1 + 1", "foo(self)", "'a"]
)
def test_what_is_not_known_is_an_error(rule: str) -> None:
    with pytest.raises(CelError):
        holds(rule, {"a": []})


def test_a_field_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        holds("self.a == 1", {})
