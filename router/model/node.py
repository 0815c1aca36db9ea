"""What the Kubernetes API says about this node and to it, as values. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from bgp.nlri import Prefix
from router.model.link import Address

T = TypeVar("T")


class Presence(StrEnum):
    """What is known about an object of the API."""

    UNKNOWN = "unknown"
    """The API server has not answered yet."""
    PRESENT = "present"
    ABSENT = "absent"
    """The API server said that there is no such object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Generic[T]):
    """One object of the API as last seen.

    `value` stays what it last was when the object goes away: whoever reads it decides what
    an absence means.
    """

    presence: Presence = Presence.UNKNOWN
    value: T | None = None


class Taint(NamedTuple):
    """A taint of a Node."""

    key: str
    value: str
    effect: str


class Condition(NamedTuple):
    """A condition of a Node, without its heartbeat time (kubelet's would differ for ever)."""

    type: str
    status: str
    """True, False or Unknown."""
    reason: str
    message: str
    last_transition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """The parts of our own Node object that the agent uses."""

    name: str
    uid: str
    """Another uid under the same name is another node: deleted and registered again."""
    resource_version: str = field(compare=False, default="")
    """Opaque; guards a change of the taints. No part of the comparison: it moves with every
    heartbeat of the kubelet."""
    pod_cidrs: tuple[Prefix, ...] = ()
    """spec.podCIDRs in the API's order; at most one per family."""
    addresses: tuple[Address, ...] = ()
    """status.addresses of type InternalIP in the API's order."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    conditions: tuple[Condition, ...] = ()
    problems: tuple[str, ...] = ()
    """Parts of the object that cannot be used, in words."""

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of a type."""
        return next((c for c in self.conditions if c.type == kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMapView:
    """One ConfigMap."""

    name: str
    resource_version: str = field(compare=False, default="")
    data: Mapping[str, str] = field(default_factory=dict)


class SecretRef(NamedTuple):
    """One key of a Secret in our own namespace."""

    name: str
    key: str

    def __str__(self) -> str:
        return f"{self.name}/{self.key}"


class Claim(NamedTuple):
    """A Node that may be another, and the pod CIDRs that the API gave it."""

    name: str
    created: str
    """metadata.creationTimestamp, RFC 3339 in UTC: sorts as text."""
    pod_cidrs: tuple[Prefix, ...]

    def age(self) -> tuple[str, str]:
        """Return what sorts the older first."""
        return self.created, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """All Nodes of the cluster as they were when somebody asked."""

    number: int = 0
    """Of the question that this answers; it answers those before, too."""
    found: tuple[Claim, ...] = ()
