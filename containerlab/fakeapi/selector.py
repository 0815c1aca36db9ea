"""Label and field selectors, as in the query of a list or watch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from containerlab.fakeapi.resources import Resource, bad_request

Match = Callable[[dict[str, Any]], bool]
_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")


def field_match(text: str, resource: Resource) -> Match:
    """Return a predicate for a fieldSelector; unknown fields are refused as by a real server."""
    wanted: list[tuple[str, str, bool]] = []
    for part in filter(None, text.split(",")):
        positive = "!=" not in part
        field, sign, value = part.partition("!=" if not positive else "=")
        value = value.removeprefix("=")
        known = {"metadata.name", "metadata.namespace"} | resource.fields
        if not sign or field not in known:
            raise bad_request(f'field label not supported: "{field}"')
        wanted.append((field, value, positive))
    return lambda found: all((_field(found, f) == v) is yes for f, v, yes in wanted)


def _field(found: dict[str, Any], path: str) -> str:
    value: Any = found
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def label_match(text: str) -> Match:
    """Return a predicate for a labelSelector."""
    # A comma inside "in (a,b)" does not separate.
    tests = [_label_test(part) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda found: all(
        test((found.get("metadata") or {}).get("labels") or {}) for test in tests
    )


def _label_test(part: str) -> Callable[[dict[str, str]], bool]:
    in_set = _SET.match(part)
    if in_set:
        key, word, listed = in_set.groups()
        values = {value.strip() for value in listed.split(",")}
        if word == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    part = part.strip()
    if "!=" in part:
        key, value = (side.strip() for side in part.split("!=", 1))
        return lambda labels: labels.get(key) != value
    if "=" in part:
        key, value = (side.strip() for side in part.replace("==", "=").split("=", 1))
        return lambda labels: labels.get(key) == value
    if part.startswith("!"):
        return lambda labels: part[1:] not in labels
    return lambda labels: part in labels
