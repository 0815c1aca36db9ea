"""From JSON of the API to our values. PURE.

The API server validates what it stores, but we run as root on what it sends: an object of
any shape becomes a view with the bad parts named in `problems`, or MalformedError when not even
its identity can be read. Nothing else is ever raised.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bgp.nlri import Prefix, PrefixError
from router.kube import shape
from router.kube.errors import MalformedError
from router.model.config_object import ConfigObject
from router.model.link import Address
from router.model.node import Claim, Condition, ConfigMapView, NodeView, Taint
from router.model.service import Key


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
        raise MalformedError(f"not JSON: {shape.short(raw)}") from error
    if not isinstance(value, dict):
        raise MalformedError(f"not a JSON object: {shape.short(raw)}")
    return value


def parse_watch_line(line: bytes) -> WatchEvent:
    """Return the event in one line of a watch. Raises MalformedError."""
    value = parse_object(line)
    kind, found = value.get("type"), value.get("object")
    if not isinstance(kind, str) or not isinstance(found, dict):
        raise MalformedError(f"not a watch event: {shape.short(line)}")
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
    version = shape.mapping(answer.get("metadata")).get("resourceVersion")
    if not isinstance(version, str) or not version:
        raise MalformedError("no metadata.resourceVersion")
    return version


def name_of(answer: Mapping[str, Any]) -> str:
    """Return metadata.name. Raises MalformedError."""
    name = shape.mapping(answer.get("metadata")).get("name")
    if not isinstance(name, str) or not name:
        raise MalformedError("no metadata.name")
    return name


def key_of(answer: Mapping[str, Any]) -> Key:
    """Return namespace and name of an object that has both. Raises MalformedError."""
    namespace = shape.mapping(answer.get("metadata")).get("namespace")
    if not isinstance(namespace, str) or not namespace:
        raise MalformedError("no metadata.namespace")
    return Key(namespace, name_of(answer))


def cluster_key_of(answer: Mapping[str, Any]) -> Key:
    """Return the name of an object without a namespace. Raises MalformedError."""
    return Key("", name_of(answer))


def config_object(kind: str, name: str, raw: Mapping[str, Any]) -> ConfigObject:
    """Return one of our configuration objects; a spec that is none is empty."""
    return ConfigObject(kind=kind, name=name, spec=shape.mapping(raw.get("spec")))


def continue_token(answer: Mapping[str, Any]) -> str:
    """Return what asks for the next page of a list, '' after the last."""
    return shape.text(shape.mapping(answer.get("metadata")).get("continue"))


def node_view(raw: Mapping[str, Any]) -> NodeView:
    """Return the view of a Node. Raises MalformedError when it has no name or uid."""
    metadata, spec = shape.mapping(raw.get("metadata")), shape.mapping(raw.get("spec"))
    status = shape.mapping(raw.get("status"))
    uid = metadata.get("uid")
    if not isinstance(uid, str) or not uid:
        raise MalformedError("a Node without metadata.uid")
    problems: list[str] = []
    return NodeView(
        name=name_of(raw),
        uid=uid,
        resource_version=shape.text(metadata.get("resourceVersion")),
        pod_cidrs=_pod_cidrs(spec, problems),
        addresses=_addresses(status, problems),
        labels=shape.texts(metadata.get("labels")),
        annotations=shape.texts(metadata.get("annotations")),
        taints=tuple(
            Taint(
                shape.text(item.get("key")),
                shape.text(item.get("value")),
                shape.text(item.get("effect")),
            )
            for item in shape.mappings(spec.get("taints"))
        ),
        conditions=tuple(
            Condition(
                type=shape.text(item.get("type")),
                status=shape.text(item.get("status")),
                reason=shape.text(item.get("reason")),
                message=shape.text(item.get("message")),
                last_transition=shape.text(item.get("lastTransitionTime")),
            )
            for item in shape.mappings(status.get("conditions"))
        ),
        problems=tuple(problems),
    )


def claim(raw: Mapping[str, Any]) -> Claim:
    """Return whose pod CIDRs a Node says it has. Raises MalformedError when it has no name."""
    metadata = shape.mapping(raw.get("metadata"))
    return Claim(
        name=name_of(raw),
        created=shape.text(metadata.get("creationTimestamp")),
        pod_cidrs=_pod_cidrs(shape.mapping(raw.get("spec")), []),
    )


def _pod_cidrs(spec: Mapping[str, Any], problems: list[str]) -> tuple[Prefix, ...]:
    # Before 1.16 and in some controllers only the singular field is set.
    listed = shape.items(spec.get("podCIDRs")) or shape.items(spec.get("podCIDR"))
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
        return f"{shape.short(value)} is not a prefix"
    try:
        return Prefix.parse(value)
    except PrefixError as error:
        return f"{shape.short(value)}: {error.reason}"


def _addresses(status: Mapping[str, Any], problems: list[str]) -> tuple[Address, ...]:
    found: list[Address] = []
    for item in shape.mappings(status.get("addresses")):
        if item.get("type") != "InternalIP":
            continue
        value = item.get("address")
        address = shape.address(value)
        if address is None:
            problems.append(f"status.addresses: {shape.short(value)} is not an IP address")
        elif address not in found:
            found.append(address)
    return tuple(found)


def config_map_view(raw: Mapping[str, Any]) -> ConfigMapView:
    """Return the view of a ConfigMap. Raises MalformedError when it has no name."""
    metadata = shape.mapping(raw.get("metadata"))
    return ConfigMapView(
        name=name_of(raw),
        resource_version=shape.text(metadata.get("resourceVersion")),
        data=shape.texts(raw.get("data")),
    )


def secret_values(raw: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the decoded data of a Secret; what is not base64 is left out."""
    found: dict[str, bytes] = {}
    for key, value in shape.texts(raw.get("data")).items():
        try:
            found[key] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
    return found
