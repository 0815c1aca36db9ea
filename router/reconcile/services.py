"""Which addresses of Services this node announces, and why not the others. PURE.

A node that announces a Service's address gets packets for it, which kube-proxy there must be able
to send on. With traffic policy Local it does so to endpoints of the same node only, so the node
announces the address while it has a *ready* one: with the first sign that the last is terminating
the address is withdrawn, and kube-proxy goes on to use that endpoint for what still arrives
(KEP-1669). With policy Cluster every node can serve the address while there is any endpoint.

https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-policies
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from bgp.nlri import Prefix
from bgp.policy import MARTIANS
from router.model.link import Address
from router.model.service import NOTHING, Facts, Key, Services, ServiceView, Serving


class Kind(StrEnum):
    """Where a Service has an address from."""

    LOAD_BALANCER = "load balancer"
    EXTERNAL = "external"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """`announce.services` of the configuration; nothing of it by default."""

    load_balancer: bool = False
    external: bool = False
    cluster: bool = False
    selector: tuple[tuple[str, str], ...] = ()
    """Labels that a Service must have, all of them."""

    @property
    def is_wanted(self) -> bool:
        """Whether Services have to be known at all."""
        return self.load_balancer or self.external or self.cluster

    def selects(self, service: ServiceView) -> bool:
        """Tell whether a Service has the labels asked for."""
        return all(service.labels.get(key) == value for key, value in self.selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Addresses that no Service may take: whoever may write one could take over a machine's."""

    own: frozenset[Prefix] = frozenset()
    """Of nodes' own things and peers: never."""
    ranges: tuple[Prefix, ...] = ()
    """Pod and node-address ranges: not unless a service range lies there."""
    services: tuple[Prefix, ...] = ()

    def why_not(self, host: Prefix) -> str:
        """Return why an address cannot be a Service's, "" if it can."""
        for prefix in (*MARTIANS, *sorted(self.own)):
            if prefix.covers(host):
                return f"it lies in {prefix}, which can be no service's"
        if any(prefix.covers(host) for prefix in self.services):
            return ""
        for prefix in self.ranges:
            if prefix.covers(host):
                return f"it lies in {prefix}, a range of pods or nodes, not of services"
        return ""


class Decision(NamedTuple):
    """One address of one Service."""

    address: Prefix
    service: Key
    kind: Kind
    why_not: str
    """Empty if it is announced for this Service."""
    is_reserved: bool = False
    """It can be no service's address at all."""


def decide(facts: Facts, settings: ServiceSettings, reserved: Reserved) -> tuple[Decision, ...]:
    """Return what becomes of each address of a kind that is asked for, canonical.

    Nothing of a Service that the selector leaves out.
    """
    service = facts.service
    if not settings.selects(service):
        return ()
    found: dict[tuple[Prefix, Kind], Decision] = {}
    for kind, address in _addresses(service, settings):
        host = Prefix.from_address(address)
        taken = reserved.why_not(host)
        why_not = taken or _why_not(facts, kind, address)
        found[host, kind] = Decision(host, service.key, kind, why_not, bool(taken))
    return tuple(found[key] for key in sorted(found))


def _addresses(service: ServiceView, settings: ServiceSettings) -> Iterable[tuple[Kind, Address]]:
    if settings.load_balancer:
        yield from ((Kind.LOAD_BALANCER, a) for a in service.load_balancer)
    if settings.external:
        yield from ((Kind.EXTERNAL, a) for a in service.external)
    if settings.cluster:
        yield from ((Kind.CLUSTER, a) for a in service.cluster)


def _why_not(facts: Facts, kind: Kind, address: Address) -> str:
    service = facts.service
    if service.is_leaving:
        return "the Service is being deleted"
    if kind is Kind.LOAD_BALANCER and address in service.proxied:
        return "its ipMode is Proxy: kube-proxy does not serve it"
    serving = facts.endpoints.get(address.version, NOTHING)
    # To kube-proxy, packets for a cluster IP are internal wherever they come from.
    is_local = service.internal_local if kind is Kind.CLUSTER else service.external_local
    if not is_local:
        if serving & (Serving.READY | Serving.LEAVING):
            return ""
        return f"there is no IPv{address.version} endpoint"
    if serving & Serving.READY_HERE:
        return ""
    if serving & Serving.LEAVING_HERE:
        return "its last endpoints on this node are terminating"
    return f"traffic policy Local, and no ready IPv{address.version} endpoint on this node"


_NOBODY: Final = Reserved()


@dataclass(slots=True)
class Deciding:
    """Decisions on all Services, made anew for those that changed since the last time."""

    _settings: ServiceSettings = field(default_factory=ServiceSettings)
    _reserved: Reserved = _NOBODY
    _services: Services = field(default_factory=Services)
    _made: dict[Key, tuple[Decision, ...]] = field(default_factory=dict)
    announced: frozenset[Prefix] = frozenset()
    """Addresses to announce: two Services may share one, one that serves it is enough."""
    addresses: frozenset[Prefix] = frozenset()
    """All addresses that some node may announce; never to be learned."""

    def take(self, services: Services, settings: ServiceSettings, reserved: Reserved) -> None:
        """Take what is known and wanted now."""
        is_same = (settings, reserved) == (self._settings, self._reserved)
        if is_same and services is self._services:
            return
        before: Mapping[Key, Facts] = self._services.found if is_same else {}
        self._made = {
            key: self._made[key] if before.get(key) is facts else decide(facts, settings, reserved)
            for key, facts in services.found.items()
        }
        self._settings, self._reserved, self._services = settings, reserved, services
        usable = [d for decisions in self._made.values() for d in decisions]
        self.announced = frozenset(d.address for d in usable if not d.why_not)
        self.addresses = frozenset(d.address for d in usable if not d.is_reserved)

    @property
    def all(self) -> tuple[Decision, ...]:
        """Return every decision, by address."""
        return tuple(sorted(d for decisions in self._made.values() for d in decisions))
