"""Plain values as YAML text, and what can be said of a text that may be no valid document. PURE."""

from __future__ import annotations

from typing import Any

import yaml


def to_yaml(value: Any) -> str:
    """Return JSON-like values in block style, keys in their order."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text


def password_files(text: str) -> list[str]:
    """Return every `password_file` in a document, valid or not. Raises ValueError for no YAML."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {error}") from None
    found: list[str] = []
    stack = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            found += [str(each) for key, each in value.items() if key == "password_file"]
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found
