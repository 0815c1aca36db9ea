"""The shapes of JSON values, none of them taken for granted. PURE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final

from router.model.link import Address

_MAX_TEXT: Final = 120


def mapping(value: object) -> Mapping[str, Any]:
    """Return the value if it is a mapping, an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Return those items that are mappings."""
    return (item for item in items(value) if isinstance(item, dict))


def items(value: object) -> Sequence[Any]:
    """Return a list; a single value is a list of one."""
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def text(value: object) -> str:
    """Return the value if it is a text, '' otherwise."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> dict[str, str]:
    """Return those entries of a mapping that are texts."""
    return {key: item for key, item in mapping(value).items() if isinstance(item, str)}


def short(value: object) -> str:
    """Write a value for a message."""
    shown = value.decode(errors="replace") if isinstance(value, bytes) else repr(value)
    return shown if len(shown) <= _MAX_TEXT else shown[:_MAX_TEXT] + "..."


def address(value: object) -> Address | None:
    """Return an IP address without a zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return ip_address(value) if "%" not in value else None
    except ValueError:
        return None
