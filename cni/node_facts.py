"""What the route agent tells the CNI server about the node: ``/run/podroute/node.json``.

PURE: the agent writes the file (atomically, by rename), the server reads it; neither happens
here. The server needs the agent to have run once since boot, not to be alive (design D14).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, TypeVar

FORMAT_VERSION: Final = 1
MAX_MTU: Final = 65535
"""ETH_MAX_MTU (include/uapi/linux/if_ether.h)."""

_T = TypeVar("_T")


class MalformedNodeFactsError(ValueError):
    """The file is not what ``render`` writes; names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """Everything the CNI server knows of the node.

    ``generation`` grows with every change. ``mtu`` is in bytes, 0 where not known yet.
    ``ready`` False means that an ADD must not succeed now, for ``reason``.
    """

    generation: int
    node: str
    pod_cidrs: tuple[IPv4Network | IPv6Network, ...]
    node_addresses: tuple[IPv4Address | IPv6Address, ...]
    mtu: int
    ready: bool
    reason: str


def render(facts: NodeFacts) -> bytes:
    """Render the file: one JSON object, sorted keys, newline at its end."""
    body = {
        "version": FORMAT_VERSION,
        "generation": facts.generation,
        "node": facts.node,
        "pod_cidrs": [str(cidr) for cidr in facts.pod_cidrs],
        "node_addresses": [str(address) for address in facts.node_addresses],
        "mtu": facts.mtu,
        "ready": facts.ready,
        "reason": facts.reason,
    }
    return (json.dumps(body, sort_keys=True, indent=2) + "\n").encode()


def parse(content: bytes) -> NodeFacts:
    """Parse the file; raise MalformedNodeFactsError naming the first wrong field.

    Unknown keys are tolerated: a newer agent may write more.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedNodeFactsError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise MalformedNodeFactsError("not a JSON object")
    version = _typed(body, "version", int)
    if version != FORMAT_VERSION:
        raise MalformedNodeFactsError(f"version: {version} is not {FORMAT_VERSION}")
    return NodeFacts(
        generation=_typed(body, "generation", int),
        node=_typed(body, "node", str),
        pod_cidrs=_each(body, "pod_cidrs", ip_network),
        node_addresses=_each(body, "node_addresses", ip_address),
        mtu=_mtu(body),
        ready=_typed(body, "ready", bool),
        reason=_typed(body, "reason", str),
    )


def _typed(body: dict[str, object], key: str, kind: type[_T]) -> _T:
    value = body.get(key)
    # bool is a subclass of int, and true is no number here.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise MalformedNodeFactsError(f"{key}: missing or not of type {kind.__name__}")
    return value


def _mtu(body: dict[str, object]) -> int:
    mtu = _typed(body, "mtu", int)
    if not 0 <= mtu <= MAX_MTU:
        raise MalformedNodeFactsError(f"mtu: not within 0 to {MAX_MTU}")
    return mtu


def _each(body: dict[str, object], key: str, convert: Callable[[str], _T]) -> tuple[_T, ...]:
    items = _typed(body, key, list)
    converted: list[_T] = []
    for number, item in enumerate(items):
        try:
            converted.append(convert(item if isinstance(item, str) else ""))
        except ValueError as error:
            raise MalformedNodeFactsError(f"{key}[{number}]: {error}") from None
    return tuple(converted)
