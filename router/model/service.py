"""Services and their endpoints as one node sees them. PURE.

Endpoints are folded into four flags when they are read: ten thousand EndpointSlices with ten
endpoints each would be a hundred thousand objects, of which four questions are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from types import MappingProxyType
from typing import Final, NamedTuple

from router.model.link import Address


class Key(NamedTuple):
    """A namespaced name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Serving(IntFlag):
    """What there is among the endpoints of one family.

    Ready: takes new connections. Leaving: terminating and still serving, so kube-proxy uses it
    only where no ready one is left (KEP-1669).
    """

    READY_HERE = 1
    LEAVING_HERE = 2
    READY = 4
    LEAVING = 8


NOTHING: Final = Serving(0)
NO_ZONES: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """The parts of a Service that say which addresses it has and which nodes serve them."""

    key: Key
    labels: Mapping[str, str] = field(default_factory=dict)
    load_balancer: tuple[Address, ...] = ()
    """status.loadBalancer.ingress of type LoadBalancer, whoever assigned them."""
    proxied: tuple[Address, ...] = ()
    """Those of them with ipMode Proxy: kube-proxy leaves them alone."""
    external: tuple[Address, ...] = ()
    """spec.externalIPs."""
    cluster: tuple[Address, ...] = ()
    """spec.clusterIPs; none of a headless Service."""
    external_local: bool = False
    """externalTrafficPolicy Local."""
    internal_local: bool = False
    """internalTrafficPolicy Local."""
    is_leaving: bool = False
    """Being deleted: kept by a finalizer only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """One EndpointSlice."""

    key: Key
    service: Key
    family: int
    serving: Serving
    zones: frozenset[str] = NO_ZONES
    """Of its ready endpoints' hints; none if one of them has no hint."""


class Facts(NamedTuple):
    """A Service and, per family, its endpoints."""

    service: ServiceView
    endpoints: Mapping[int, Serving]
    zones: Mapping[int, frozenset[str]] = MappingProxyType({})
    """Per family the zones that hints name, if every ready endpoint has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All Services; `found` keeps the same Facts object of a Service that did not change."""

    is_known: bool = False
    """Whether both lists were read to their end once."""
    found: Mapping[Key, Facts] = field(default_factory=lambda: MappingProxyType({}))
