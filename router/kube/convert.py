"""From JSON of the API to our values. PURE.

The API server validates what it stores, but we run as root on what it sends: an object of
any shape becomes a view with the bad parts named in `problems`, or MalformedError when not even
its identity can be read. Nothing else is ever raised.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from bgp.nlri import Prefix, PrefixError
from router.kube.errors import MalformedError
from router.model.link import Address
from router.model.node import Condition, ConfigMapView, NodeView, Taint

_MAX_TEXT: Final = 120


class WatchEvent(NamedTuple):
    """One line of a watch."""

    kind: str
    """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    object: Mapping[str, Any]


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in an answer. Raises MalformedError."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {_short(raw)}") from error
    if not isinstance(value, dict):
        raise MalformedError(f"not a JSON object: {_short(raw)}")
    return value


def parse_watch_line(line: bytes) -> WatchEvent:
    """Return the event in one line of a watch. Raises MalformedError."""
    value = parse_object(line)
    kind, found = value.get("type"), value.get("object")
    if not isinstance(kind, str) or not isinstance(found, dict):
        raise MalformedError(f"not a watch event: {_short(line)}")
    return WatchEvent(kind, found)


def items_of(answer: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the objects of a list. Raises MalformedError."""
    items = answer.get("items")
    if items is None:
        return ()
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise MalformedError("a list whose items are no objects")
    return tuple(items)


def resource_version(answer: Mapping[str, Any]) -> str:
    """Return metadata.resourceVersion of an object or list. Raises MalformedError."""
    version = _mapping(answer.get("metadata")).get("resourceVersion")
    if not isinstance(version, str) or not version:
        raise MalformedError("no metadata.resourceVersion")
    return version


def name_of(answer: Mapping[str, Any]) -> str:
    """Return metadata.name. Raises MalformedError."""
    name = _mapping(answer.get("metadata")).get("name")
    if not isinstance(name, str) or not name:
        raise MalformedError("no metadata.name")
    return name


def node_view(raw: Mapping[str, Any]) -> NodeView:
    """Return the view of a Node. Raises MalformedError when it has no name or uid."""
    metadata, spec = _mapping(raw.get("metadata")), _mapping(raw.get("spec"))
    status = _mapping(raw.get("status"))
    uid = metadata.get("uid")
    if not isinstance(uid, str) or not uid:
        raise MalformedError("a Node without metadata.uid")
    problems: list[str] = []
    return NodeView(
        name=name_of(raw),
        uid=uid,
        resource_version=_text(metadata.get("resourceVersion")),
        pod_cidrs=_pod_cidrs(spec, problems),
        addresses=_addresses(status, problems),
        labels=_texts(metadata.get("labels")),
        annotations=_texts(metadata.get("annotations")),
        taints=tuple(
            Taint(_text(item.get("key")), _text(item.get("value")), _text(item.get("effect")))
            for item in _mappings(spec.get("taints"))
        ),
        conditions=tuple(
            Condition(
                type=_text(item.get("type")),
                status=_text(item.get("status")),
                reason=_text(item.get("reason")),
                message=_text(item.get("message")),
                last_transition=_text(item.get("lastTransitionTime")),
            )
            for item in _mappings(status.get("conditions"))
        ),
        problems=tuple(problems),
    )


def _pod_cidrs(spec: Mapping[str, Any], problems: list[str]) -> tuple[Prefix, ...]:
    # Before 1.16 and in some controllers only the singular field is set.
    listed = _items(spec.get("podCIDRs")) or _items(spec.get("podCIDR"))
    found: list[Prefix] = []
    for value in listed:
        cidr = _prefix(value)
        if isinstance(cidr, str):
            problems.append(f"spec.podCIDRs: {cidr}")
        elif any(other.family == cidr.family for other in found):
            problems.append(f"spec.podCIDRs: {cidr} is a second one of its family")
        else:
            found.append(cidr)
    return tuple(found)


def _prefix(value: object) -> Prefix | str:
    """Return the prefix, or what is wrong with it."""
    if not isinstance(value, str) or "/" not in value:
        return f"{_short(value)} is not a prefix"
    try:
        return Prefix.parse(value)
    except PrefixError as error:
        return f"{_short(value)}: {error.reason}"


def _addresses(status: Mapping[str, Any], problems: list[str]) -> tuple[Address, ...]:
    found: list[Address] = []
    for item in _mappings(status.get("addresses")):
        if item.get("type") != "InternalIP":
            continue
        value = item.get("address")
        address = _address(value)
        if address is None:
            problems.append(f"status.addresses: {_short(value)} is not an IP address")
        elif address not in found:
            found.append(address)
    return tuple(found)


def _address(value: object) -> Address | None:
    if not isinstance(value, str):
        return None
    try:
        return ip_address(value) if "%" not in value else None
    except ValueError:
        return None


def config_map_view(raw: Mapping[str, Any]) -> ConfigMapView:
    """Return the view of a ConfigMap. Raises MalformedError when it has no name."""
    metadata = _mapping(raw.get("metadata"))
    return ConfigMapView(
        name=name_of(raw),
        resource_version=_text(metadata.get("resourceVersion")),
        data=_texts(raw.get("data")),
    )


def secret_values(raw: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the decoded data of a Secret; what is not base64 is left out."""
    found: dict[str, bytes] = {}
    for key, value in _texts(raw.get("data")).items():
        try:
            found[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in _items(value) if isinstance(item, dict))


def _items(value: object) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    return {key: item for key, item in _mapping(value).items() if isinstance(item, str)}


def _short(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
