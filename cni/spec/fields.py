"""Checks of single JSON fields, shared by the parts of a network configuration. PURE.

Each takes the value, its path, and the list that collects what is wrong, so that every problem is
told at once. A JSON null counts as absent (as in Go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Problems = list[tuple[str, str]]
"""(path to the field, what is wrong)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """The ``dns`` object of a configuration and of a result."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def take_object(value: object, path: str, problems: Problems) -> Mapping[str, object] | None:
    """Return the object; None where it is absent or wrong."""
    if value is None:
        return None
    if isinstance(value, dict):
        return value
    problems.append((path, "is not an object"))
    return None


def take_strings(value: object, path: str, problems: Problems) -> tuple[str, ...]:
    """Return a list of strings; empty where it is absent or wrong."""
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    problems.append((path, "is not a list of strings"))
    return ()


def take_boolean(value: object, path: str, default: bool, problems: Problems) -> bool:
    """Return true or false, ``default`` where it is absent or wrong."""
    if value is None or isinstance(value, bool):
        return default if value is None else value
    problems.append((path, "is neither true nor false"))
    return default


def take_integer(value: object, path: str, bounds: range, problems: Problems) -> int | None:
    """Return the integer, None where it is absent, wrong, or 0 as other plugins write "default"."""
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append((path, "is not an integer"))
    elif value not in bounds:
        problems.append((path, f"{value} is not within {bounds.start} to {bounds.stop - 1}"))
    else:
        return value
    return None


def take_dns(value: object, problems: Problems) -> Dns | None:
    """Return the ``dns`` object of a network configuration."""
    raw = take_object(value, "dns", problems)
    if raw is None:
        return None
    domain = raw.get("domain") or ""
    if not isinstance(domain, str):
        problems.append(("dns.domain", "is not a string"))
        domain = ""
    return Dns(
        nameservers=take_strings(raw.get("nameservers"), "dns.nameservers", problems),
        domain=domain,
        search=take_strings(raw.get("search"), "dns.search", problems),
        options=take_strings(raw.get("options"), "dns.options", problems),
    )


def find_key(raw: Mapping[str, object], key: str) -> object:
    """Return the value of a key as Go's decoder finds it: exact, else in any capitalisation.

    containerd's structs carry no JSON names, so that its keys begin with capitals (HostPort).
    """
    if key in raw:
        return raw[key]
    return next((value for name, value in raw.items() if name.lower() == key.lower()), None)
