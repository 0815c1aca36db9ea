"""The network configuration a runtime passes on standard input: what every command needs. PURE.

The operator's settings are in ``cni.spec.options``, a pod's wishes in ``cni.spec.requested``: only
an ADD depends on them, so that an error there never keeps a DEL from its work. Every error is
reported with its path.

Reference: CNI SPEC.md, "Plugin configuration objects" and "Execution protocol".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cni.spec.environment import IDENTIFIER
from cni.spec.errors import DecodeError, InvalidConfigurationError
from cni.spec.fields import Problems, take_object
from cni.spec.version import IMPLIED, SpecVersion, negotiate

_GC_KEYS: Final = ("cni.dev/valid-attachments", "cni.dev/attachments")
"""The specification's key, and the older one that libcni still sends (cni issue 1101)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfiguration:
    """The part of a network configuration that every command needs.

    ``valid_attachments`` is None where the runtime sent no list at all, which GC must not
    mistake for an empty one.
    """

    version: SpecVersion
    name: str
    prev_result: Mapping[str, object] | None = None
    valid_attachments: frozenset[tuple[str, str]] | None = None


def decode(stdin: bytes) -> Mapping[str, object]:
    """Decode the JSON object; raise DecodeError (code 6) on anything else."""
    try:
        value = json.loads(stdin.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DecodeError(f"network configuration is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise DecodeError(f"network configuration is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        # An integer of thousands of digits, or nesting beyond the interpreter's stack.
        raise DecodeError(f"network configuration is not usable JSON: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("network configuration is not a JSON object")
    return value


def requested_version(raw: Mapping[str, object]) -> str:
    """Return ``cniVersion`` as the request has it; absent means 0.1.0."""
    value = raw.get("cniVersion")
    return value if isinstance(value, str) and value else IMPLIED


def parse_configuration(raw: Mapping[str, object]) -> NetworkConfiguration:
    """Check what every command needs of a decoded configuration.

    Raises IncompatibleVersionError (1), or InvalidConfigurationError (7) with every problem.
    """
    version = negotiate(requested_version(raw))
    problems: Problems = []
    configuration = NetworkConfiguration(
        version=version,
        name=_name(raw.get("name"), problems),
        prev_result=take_object(raw.get("prevResult"), "prevResult", problems),
        valid_attachments=_valid_attachments(raw, problems),
    )
    if problems:
        raise InvalidConfigurationError(tuple(problems))
    return configuration


def _name(value: object, problems: Problems) -> str:
    if value is None or value == "":
        problems.append(("name", "is missing"))
    elif not isinstance(value, str):
        problems.append(("name", "is not a string"))
    elif not IDENTIFIER.fullmatch(value):
        problems.append(("name", f"has characters not allowed: {value[:64]!r}"))
    else:
        return value
    return ""


def _valid_attachments(
    raw: Mapping[str, object], problems: Problems
) -> frozenset[tuple[str, str]] | None:
    """Return the (container id, ifname) pairs that GC must keep, from both keys."""
    present = [key for key in _GC_KEYS if raw.get(key) is not None]
    if not present:
        return None
    pairs: set[tuple[str, str]] = set()
    for key in present:
        items = raw[key]
        if not isinstance(items, list):
            problems.append((key, "is not a list"))
            continue
        for number, item in enumerate(items):
            container_id = item.get("containerID") if isinstance(item, dict) else None
            ifname = item.get("ifname") if isinstance(item, dict) else None
            if isinstance(container_id, str) and isinstance(ifname, str):
                pairs.add((container_id, ifname))
            else:
                problems.append((f"{key}[{number}]", "is not {containerID, ifname}"))
    return frozenset(pairs)
