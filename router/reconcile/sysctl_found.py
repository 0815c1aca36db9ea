"""The sysctl values we found before our first write, and how to put them back. PURE.

Kept as JSON on tmpfs: sysctls and tmpfs end together, at the next boot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from router.reconcile.sysctl import SysctlWrite

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One sysctl of which we changed the value."""

    key: str
    found: str
    written: str
    """What we wrote last."""


FoundValues = tuple[Found, ...]
"""In the order of the first writes."""


class FoundFormatError(ValueError):
    """The file does not hold what `render_found` writes."""


def note(values: FoundValues, key: str, *, before: str, written: str) -> FoundValues:
    """Return the values with a write that is about to happen.

    What was there before the first of our writes stays what was found, whatever somebody else
    wrote in between.
    """
    for index, value in enumerate(values):
        if value.key == key:
            return (*values[:index], replace(value, written=written), *values[index + 1 :])
    return (*values, Found(key=key, found=before, written=written))


def plan_restore(values: FoundValues, current: Mapping[str, str]) -> tuple[SysctlWrite, ...]:
    """Return the writes that undo ours, the last first.

    A value that is no longer what we wrote is somebody else's by now, and stays; a key absent
    from `current` went with its link.
    """
    return tuple(
        SysctlWrite(value.key, value.found, "as it was found")
        for value in reversed(values)
        if current.get(value.key) == value.written != value.found
    )


def render_found(values: FoundValues) -> bytes:
    """Return the content of the file."""
    listed = [{"key": v.key, "found": v.found, "written": v.written} for v in values]
    return (json.dumps({"version": _VERSION, "sysctls": listed}, indent=1) + "\n").encode()


def parse_found(content: bytes) -> FoundValues:
    """Read the content of the file. Raises FoundFormatError."""
    try:
        raw = json.loads(content)
        if raw["version"] != _VERSION:
            raise FoundFormatError(f"version {raw['version']!r} is not {_VERSION}")
        values = tuple(
            Found(key=str(v["key"]), found=str(v["found"]), written=str(v["written"]))
            for v in raw["sysctls"]
        )
    except FoundFormatError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise FoundFormatError(f"not the values found before our first write: {error!r}") from None
    for value in values:
        if not value.key.startswith("net/") or ".." in value.key.split("/"):
            raise FoundFormatError(f"{value.key!r} is no sysctl of ours")
    return values
