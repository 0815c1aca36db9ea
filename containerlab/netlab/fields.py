"""Reading one key of a node or link: type checks that gather problems instead of raising. PURE."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from containerlab.netlab.schema import hint
from containerlab.netlab.topology import Bind, Endpoint

# What the kernel takes as a device name (net/core/dev.c, dev_valid_name): IFNAMSIZ is 16 with NUL.
_INTERFACE = re.compile(r"[^\s/:]{1,15}")


class Problems:
    """A list of problems, each with the place in the file it belongs to."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Remember that `what` is wrong at `where`; an empty place is the file itself."""
        self.found.append(f"{where}: {what}" if where else what)


def read_mapping(value: object, where: str, problems: Problems) -> dict[str, object]:
    """Return `value` as a mapping with text keys; None counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        problems.add(where, f"must be a mapping, not {_kind(value)}")
        return {}
    return {str(key): entry for key, entry in value.items()}


def read_text(value: object, where: str, problems: Problems) -> str:
    """Return `value` if it is text, else report it and return an empty text."""
    if isinstance(value, str) and value:
        return value
    problems.add(where, f"must be text, not {_kind(value)}")
    return ""


def read_texts(value: object, where: str, problems: Problems) -> tuple[str, ...]:
    """Return a list of texts."""
    if not isinstance(value, list):
        problems.add(where, f"must be a list, not {_kind(value)}")
        return ()
    return tuple(read_text(entry, f"{where}[{i}]", problems) for i, entry in enumerate(value))


def read_values(value: object, where: str, problems: Problems) -> dict[str, str]:
    """Return a mapping of words to text or numbers, all as text (env, sysctls)."""
    values = {}
    for key, entry in read_mapping(value, where, problems).items():
        if isinstance(entry, bool) or not isinstance(entry, str | int | float):
            problems.add(f"{where}.{key}", f"must be text or a number, not {_kind(entry)}")
        else:
            values[key] = str(entry)
    return values


def read_bind(text: str, folder: Path, where: str, problems: Problems) -> Bind | None:
    """Read `source:target[:ro]`; a relative source is relative to the topology file."""
    parts = text.split(":")
    if len(parts) not in (2, 3) or not parts[0]:
        problems.add(where, f"must be 'source:target' or 'source:target:ro', not {text!r}")
        return None
    mode = parts[2] if len(parts) == 3 else "rw"
    if mode not in ("ro", "rw"):
        problems.add(where, f"option {mode!r} is not supported, only 'ro' and 'rw'")
        return None
    target = PurePosixPath(parts[1])
    if not target.is_absolute() or ".." in target.parts:
        problems.add(where, f"target {parts[1]!r} must be an absolute path without '..'")
        return None
    return Bind(source=folder / parts[0], target=target, read_only=mode == "ro")


def read_command(text: str, where: str, problems: Problems) -> tuple[str, ...]:
    """Split a command into words as containerlab does (no shell)."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        problems.add(where, f"cannot be split into words: {error}")
        return ()
    if not words and text:
        problems.add(where, "is empty")
    return words


def read_endpoint(
    text: str, nodes: Mapping[str, object], where: str, problems: Problems
) -> Endpoint | None:
    """Read `node:interface`; the node must exist."""
    node, colon, interface = text.partition(":")
    if not colon or not is_interface_name(interface):
        problems.add(where, f"must be 'node:interface' with a usable name, not {text!r}")
        return None
    if node not in nodes:
        problems.add(where, f"no node {node!r}{hint(node, nodes)}")
        return None
    return Endpoint(node=node, interface=interface)


def is_interface_name(text: str) -> bool:
    """Tell whether the kernel takes this as the name of a link."""
    return bool(_INTERFACE.fullmatch(text)) and text not in (".", "..", "lo")


def _kind(value: object) -> str:
    names = {type(None): "nothing", dict: "a mapping", list: "a list", bool: "true/false"}
    return names.get(type(value), repr(value))
