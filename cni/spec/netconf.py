"""The network configuration a runtime passes on standard input.

Unknown fields are tolerated, as the specification demands of plugins; the ones we know are
checked, and every error is reported with its path. A JSON null counts as absent (as in Go).

Reference: CNI SPEC.md, "Plugin configuration objects" and "Execution protocol".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cni.spec.environment import IDENTIFIER
from cni.spec.errors import DecodeError, InvalidConfigurationError
from cni.spec.version import IMPLIED, SpecVersion, negotiate

_Problems = list[tuple[str, str]]

# IPv6 needs 1280 (RFC 8200 section 5); 65535 is ETH_MAX_MTU.
MIN_MTU: Final = 1280
MAX_MTU: Final = 65535

_GC_KEYS: Final = ("cni.dev/valid-attachments", "cni.dev/attachments")
"""The specification's key, and the older one that libcni still sends (cni issue 1101)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """The ``dns`` object, handed on as it came."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfiguration:
    """A checked network configuration.

    ``valid_attachments`` is None where the runtime sent no list at all, which GC must not
    mistake for an empty one.
    """

    version: SpecVersion
    name: str
    mtu: int | None = None
    dns: Dns | None = None
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
    """Check a decoded configuration.

    Raises IncompatibleVersionError (1), or InvalidConfigurationError (7) with every problem.
    """
    version = negotiate(requested_version(raw))
    problems: _Problems = []
    configuration = NetworkConfiguration(
        version=version,
        name=_name(raw.get("name"), problems),
        mtu=_mtu(raw.get("mtu"), problems),
        dns=_dns(raw.get("dns"), problems),
        prev_result=_object(raw.get("prevResult"), "prevResult", problems),
        valid_attachments=_valid_attachments(raw, problems),
    )
    _refuse_foreign_ipam(raw.get("ipam"), problems)
    if problems:
        raise InvalidConfigurationError(tuple(problems))
    return configuration


def _name(value: object, problems: _Problems) -> str:
    if value is None or value == "":
        problems.append(("name", "is missing"))
    elif not isinstance(value, str):
        problems.append(("name", "is not a string"))
    elif not IDENTIFIER.fullmatch(value):
        problems.append(("name", f"has characters not allowed: {value[:64]!r}"))
    else:
        return value
    return ""


def _mtu(value: object, problems: _Problems) -> int | None:
    """Return the MTU, None for "the node's": absent, or 0 as other plugins write it."""
    if value is None or value == 0:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        problems.append(("mtu", "is not an integer"))
    elif not MIN_MTU <= value <= MAX_MTU:
        problems.append(("mtu", f"{value} is not within {MIN_MTU} to {MAX_MTU}"))
    else:
        return value
    return None


def _object(value: object, path: str, problems: _Problems) -> Mapping[str, object] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return value
    problems.append((path, "is not an object"))
    return None


def _dns(value: object, problems: _Problems) -> Dns | None:
    raw = _object(value, "dns", problems)
    if raw is None:
        return None
    domain = raw.get("domain") or ""
    if not isinstance(domain, str):
        problems.append(("dns.domain", "is not a string"))
        domain = ""
    return Dns(
        nameservers=_strings(raw.get("nameservers"), "dns.nameservers", problems),
        domain=domain,
        search=_strings(raw.get("search"), "dns.search", problems),
        options=_strings(raw.get("options"), "dns.options", problems),
    )


def _strings(value: object, path: str, problems: _Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    problems.append((path, "is not a list of strings"))
    return ()


def _refuse_foreign_ipam(value: object, problems: _Problems) -> None:
    """Refuse another IPAM plugin: the server, in its container, cannot run the host's binaries."""
    ipam = _object(value, "ipam", problems)
    if not ipam or not ipam.get("type"):
        return
    problems.append(
        (
            "ipam.type",
            f"{str(ipam['type'])[:64]!r} is not possible: podroute allocates from the node's "
            "pod CIDRs itself; remove the ipam section",
        )
    )


def _valid_attachments(
    raw: Mapping[str, object], problems: _Problems
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
