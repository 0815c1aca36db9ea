"""As much of CEL as our rules use, to run them without an API server.

Only what is here may stand in a rule: anything else is a syntax error. The language:
https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Value = Any
Evaluate = Callable[[Mapping[str, Any]], Value]
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|'(?P<text>[^']*)'|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[!<>?:().+,]))"
)
_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
}
_FIXED = {"true": True, "false": False}


class CelError(ValueError):
    """A rule that this does not understand, or that would fail in the API server."""


def holds(rule: str, self_: Mapping[str, Any]) -> bool:
    """Whether a rule holds for a value. Raises CelError."""
    parser = _Parser(rule)
    evaluate = parser.ternary()
    if parser.peek() != "":
        raise CelError(f"unexpected {parser.peek()!r} in {rule!r}")
    found = evaluate(self_)
    if not isinstance(found, bool):
        raise CelError(f"{rule!r} is not a truth value")
    return found


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CelError(f"cannot read {text[at:]!r}")
        at = match.end()
        kind = match.lastgroup or ""
        yield kind, match.group(kind)


class _Parser:
    """Recursive descent; each method returns what evaluates its part."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def peek(self) -> str:
        if self._at >= len(self._tokens):
            return ""
        kind, text = self._tokens[self._at]
        return text if kind in ("sign", "word") else kind

    def _take(self, expected: str = "") -> tuple[str, str]:
        if self._at >= len(self._tokens) or (expected and self.peek() != expected):
            raise CelError(f"expected {expected!r}, found {self.peek()!r}")
        self._at += 1
        return self._tokens[self._at - 1]

    def ternary(self) -> Evaluate:
        condition = self._or()
        if self.peek() != "?":
            return condition
        self._take("?")
        yes = self.ternary()
        self._take(":")
        no = self.ternary()
        return lambda v: yes(v) if condition(v) else no(v)

    def _or(self) -> Evaluate:
        parts = [self._and()]
        while self.peek() == "||":
            self._take()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else lambda v: any(part(v) for part in parts)

    def _and(self) -> Evaluate:
        parts = [self._relation()]
        while self.peek() == "&&":
            self._take()
            parts.append(self._relation())
        return parts[0] if len(parts) == 1 else lambda v: all(part(v) for part in parts)

    def _relation(self) -> Evaluate:
        left = self._sum()
        if self.peek() not in _COMPARE:
            return left
        compare = _COMPARE[self._take()[1]]
        right = self._sum()
        return lambda v: compare(left(v), right(v))

    def _sum(self) -> Evaluate:
        parts = [self._not()]
        while self.peek() == "+":
            self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda v: sum(part(v) for part in parts)

    def _not(self) -> Evaluate:
        if self.peek() == "!":
            self._take()
            inner = self._not()
            return lambda v: not inner(v)
        return self._atom()

    def _atom(self) -> Evaluate:
        kind, text = self._take()
        if kind == "number":
            return lambda _: int(text)
        if kind == "text":
            return lambda _: text
        if text == "(":
            inner = self.ternary()
            self._take(")")
            return inner
        if text in _FIXED:
            return lambda _: _FIXED[text]
        if text in ("has", "size"):
            return self._call(text)
        if text == "self":
            return self._path()
        raise CelError(f"unknown {text!r}")

    def _call(self, name: str) -> Evaluate:
        self._take("(")
        inner = self.ternary()
        self._take(")")
        if name == "size":
            return lambda v: len(inner(v))

        def has(value: Mapping[str, Any]) -> bool:
            try:
                inner(value)
            except KeyError:
                return False
            return True

        return has

    def _path(self) -> Evaluate:
        fields: list[str] = []
        while self.peek() == ".":
            self._take()
            fields.append(self._take()[1])

        def read(value: Mapping[str, Any]) -> Value:
            found: Value = value
            for field in fields:
                found = found[field]
            return found

        return read
