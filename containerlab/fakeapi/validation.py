"""The few rules of the API server that the agent could break."""

from __future__ import annotations

import re
from typing import Any, Final

from containerlab.fakeapi.resources import Resource, invalid

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def check(resource: Resource, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    """Raise 422 for an object the API server would not store."""
    if resource.kind == "Node":
        _node(before, after)
    metadata = after["metadata"]
    prefix = metadata.get("generateName", "")
    for field, name in (
        ("name", metadata["name"]),
        # One dash at the end is as good as a letter there.
        ("generateName", f"{prefix[:-1]}a" if prefix.endswith("-") else prefix),
    ):
        if name and not _SUBDOMAIN.fullmatch(name):
            raise invalid(f"metadata.{field}: Invalid value: {name}: not an RFC 1123 subdomain")
    if resource.kind == "Event" and not after["metadata"].get("namespace"):
        raise invalid("events need a namespace")


def _node(before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    spec = after.get("spec") or {}
    cidrs = spec.get("podCIDRs") or []
    if cidrs and spec.get("podCIDR", cidrs[0]) != cidrs[0]:
        raise invalid("spec.podCIDR must equal the first of spec.podCIDRs")
    old = ((before or {}).get("spec") or {}).get("podCIDRs") or []
    if old and old != cidrs:
        raise invalid("node updates may only change labels, taints, or capacity: podCIDRs")
    taints = spec.get("taints") or []
    marks = [(taint.get("key"), taint.get("effect")) for taint in taints]
    if len(set(marks)) != len(marks):
        raise invalid("spec.taints: Duplicate value")
    for key, effect in marks:
        if not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
            raise invalid(f"spec.taints: Unsupported value {key}:{effect}")
    kinds = [item.get("type") for item in (after.get("status") or {}).get("conditions") or []]
    if len(set(kinds)) != len(kinds):
        raise invalid("status.conditions: Duplicate value")
