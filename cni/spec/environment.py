"""The ``CNI_*`` environment of a call, checked.

Reference: CNI SPEC.md, "Parameters"; libcni ``utils.ValidateContainerID`` and
``ValidateInterfaceName``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cni.spec.errors import InvalidEnvironmentError

MAX_IFNAME_BYTES: Final = 15
"""IFNAMSIZ - 1 (include/uapi/linux/if.h)."""

IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
"""Container ids and network names alike."""


class Command(StrEnum):
    """CNI_COMMAND."""

    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"
    VERSION = "VERSION"


# CNI_PATH, which libcni's skel demands for its delegating plugins, is optional in the
# specification for all but GC, and of no use to us: it is never required.
_REQUIRED: Final[Mapping[Command, tuple[str, ...]]] = {
    Command.ADD: ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    Command.CHECK: ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    Command.DEL: ("CNI_CONTAINERID", "CNI_IFNAME"),
    Command.GC: (),
    Command.STATUS: (),
    Command.VERSION: (),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A checked environment; strings the command does not need may be empty."""

    command: Command
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    args: Mapping[str, str] = field(default_factory=dict)


def parse_environment(variables: Mapping[str, str]) -> Environment:
    """Check the variables; raise InvalidEnvironmentError naming every one that is wrong."""
    command_name = variables.get("CNI_COMMAND", "")
    if not command_name:
        raise InvalidEnvironmentError((("CNI_COMMAND", "is missing"),))
    try:
        command = Command(command_name)
    except ValueError:
        raise InvalidEnvironmentError(
            (("CNI_COMMAND", f"is unknown: {command_name[:32]!r}"),)
        ) from None
    required = _REQUIRED[command]
    problems: list[tuple[str, str]] = []
    for name in required:
        if not variables.get(name):
            problems.append((name, "is missing"))
    container_id = variables.get("CNI_CONTAINERID", "")
    if container_id and "CNI_CONTAINERID" in required and not IDENTIFIER.fullmatch(container_id):
        problems.append(("CNI_CONTAINERID", f"has characters not allowed: {container_id[:64]!r}"))
    ifname = variables.get("CNI_IFNAME", "")
    if ifname and "CNI_IFNAME" in required and (why := _ifname_problem(ifname)):
        problems.append(("CNI_IFNAME", f"{why}: {ifname[:64]!r}"))
    args = _parse_args(variables.get("CNI_ARGS", ""), problems)
    if problems:
        raise InvalidEnvironmentError(tuple(problems))
    return Environment(
        command=command,
        container_id=container_id,
        netns=variables.get("CNI_NETNS", ""),
        ifname=ifname,
        args=args,
    )


@lru_cache(maxsize=16)
def _ifname_problem(ifname: str) -> str | None:
    """Return why the kernel or the specification refuses the name (net/core/dev.c)."""
    try:
        encoded = ifname.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > MAX_IFNAME_BYTES:
        return f"is longer than {MAX_IFNAME_BYTES} bytes"
    if ifname in (".", ".."):
        return "is not a name"
    # "%" makes the kernel number the link (dev_alloc_name): another name than the one asked for.
    if any(c in "/:%" or c.isspace() or not c.isprintable() for c in ifname):
        return "has characters not allowed"
    return None


def _parse_args(text: str, problems: list[tuple[str, str]]) -> Mapping[str, str]:
    """Split ``K=V;K=V``. Unknown keys are kept: the runtime's labels are for logs."""
    pairs: dict[str, str] = {}
    if not text:
        return pairs
    for item in filter(None, text.split(";")):
        key, equals, value = item.partition("=")
        if not equals or not key:
            problems.append(("CNI_ARGS", f"has an item that is not KEY=VALUE: {item[:64]!r}"))
            continue
        pairs[key] = value
    return pairs
