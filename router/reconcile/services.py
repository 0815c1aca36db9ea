"""Which addresses of Services this node announces, and why not the others. PURE.

A node that announces a Service's address gets packets for it, which kube-proxy there must be able
to send on. With traffic policy Local it does so to endpoints of the same node only, so the node
announces the address while it has a *ready* one: with the first sign that the last is terminating
the address is withdrawn, and kube-proxy goes on to use that endpoint for what still arrives
(KEP-1669). With policy Cluster every node can serve the address while there is any endpoint.

An address without any endpoint is announced by nobody, or, if so wished, by everybody: kube-proxy
then refuses connections at once. Hints of the topology say which endpoints kube-proxy prefers, not
what it can serve; if wished, only nodes of the zones they name announce.

https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-policies
https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from bgp.nlri import Prefix
from bgp.policy import MARTIANS
from router.model.link import Address
from router.model.service import NO_ZONES, NOTHING, Facts, Key, Services, ServiceView, Serving
from router.reconcile.service_aggregates import AggregateSettings, Surroundings

EXCLUDE_LABEL: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"


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
    aggregate: AggregateSettings = field(default_factory=AggregateSettings)
    announce_empty: bool = False
    """Announce addresses that have no endpoint at all, too."""
    by_zone: bool = False
    """Where endpoints have hints, announce from the zones that they name only."""
    zone: str = ""
    """This node's, by its label."""
    is_excluded: bool = False
    """The node's label keeps it out of load balancing, and is heeded."""

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

    def surroundings(self, elsewhere: frozenset[Prefix]) -> Surroundings:
        """Return what aggregates must respect."""
        return Surroundings(self.services, self.own.union(self.ranges), elsewhere)


class Decision(NamedTuple):
    """One address of one Service."""

    address: Prefix
    service: Key
    kind: Kind
    why_not: str
    """Empty if it is announced for this Service."""
    is_reserved: bool = False
    """It can be no service's address at all."""
    is_everywhere: bool = False
    """Every node can serve it, if any can."""


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
        # To kube-proxy, packets for a cluster IP are internal wherever they come from.
        is_local = service.internal_local if kind is Kind.CLUSTER else service.external_local
        zones = facts.zones.get(address.version, NO_ZONES) if settings.by_zone else NO_ZONES
        why_not = (
            taken
            or _why_nowhere(service, kind, address, settings)
            or _why_not_here(facts, address.version, is_local=is_local, settings=settings)
            or ("" if is_local else _why_not_zone(zones, settings.zone))
        )
        everywhere = not is_local and not zones
        found[host, kind] = Decision(host, service.key, kind, why_not, bool(taken), everywhere)
    return tuple(found[key] for key in sorted(found))


def _addresses(service: ServiceView, settings: ServiceSettings) -> Iterable[tuple[Kind, Address]]:
    if settings.load_balancer:
        yield from ((Kind.LOAD_BALANCER, a) for a in service.load_balancer)
    if settings.external:
        yield from ((Kind.EXTERNAL, a) for a in service.external)
    if settings.cluster:
        yield from ((Kind.CLUSTER, a) for a in service.cluster)


def _why_nowhere(
    service: ServiceView, kind: Kind, address: Address, settings: ServiceSettings
) -> str:
    if service.is_leaving:
        return "the Service is being deleted"
    if kind is Kind.LOAD_BALANCER:
        if address in service.proxied:
            return "its ipMode is Proxy: kube-proxy does not serve it"
        if settings.is_excluded:
            return f"this node has the label {EXCLUDE_LABEL}"
    return ""


def _why_not_here(facts: Facts, family: int, *, is_local: bool, settings: ServiceSettings) -> str:
    serving = facts.endpoints.get(family, NOTHING)
    if not serving & (Serving.READY | Serving.LEAVING):
        # Without any endpoint kube-proxy refuses, whatever the policy.
        if settings.announce_empty:
            return ""
        if not is_local:
            return f"there is no IPv{family} endpoint"
    if not is_local or serving & Serving.READY_HERE:
        return ""
    if serving & Serving.LEAVING_HERE:
        return "its last endpoints on this node are terminating"
    return f"traffic policy Local, and no ready IPv{family} endpoint on this node"


def _why_not_zone(zones: frozenset[str], zone: str) -> str:
    """Return why a node of this zone leaves an address to those of the zones."""
    if not zones or not zone or zone in zones:
        return ""
    return f"its endpoints are for {', '.join(sorted(zones))}; this node is in zone {zone}"


_NOBODY: Final = Reserved()


@dataclass(slots=True)
class Deciding:
    """Decisions on all Services, made anew for those that changed since the last time."""

    _settings: ServiceSettings = field(default_factory=ServiceSettings)
    _reserved: Reserved = _NOBODY
    _services: Services = field(default_factory=Services)
    _made: dict[Key, tuple[Decision, ...]] = field(default_factory=dict)
    announced: frozenset[Prefix] = frozenset()
    """Addresses that this node can serve: two Services may share one, one that does is enough."""
    everywhere: frozenset[Prefix] = frozenset()
    """Those of them that every node can serve."""
    addresses: frozenset[Prefix] = frozenset()
    """All addresses that some node may announce; never to be learned."""
    elsewhere: frozenset[Prefix] = frozenset()
    """Addresses that something outside the nodes serves."""

    def take(self, services: Services, settings: ServiceSettings, reserved: Reserved) -> bool:
        """Take what is known and wanted now; return whether anything is decided anew."""
        is_same = (settings, reserved) == (self._settings, self._reserved)
        if is_same and services is self._services:
            return False
        before: Mapping[Key, Facts] = self._services.found if is_same else {}
        self._made = {
            key: self._made[key] if before.get(key) is facts else decide(facts, settings, reserved)
            for key, facts in services.found.items()
        }
        self._settings, self._reserved, self._services = settings, reserved, services
        usable = [d for decisions in self._made.values() for d in decisions]
        served = [d for d in usable if not d.why_not]
        self.announced = frozenset(d.address for d in served)
        self.addresses = frozenset(d.address for d in usable if not d.is_reserved)
        if settings.aggregate.is_wanted:
            only_here = frozenset(d.address for d in served if not d.is_everywhere)
            self.everywhere = self.announced - only_here
            self.elsewhere = frozenset(
                Prefix.from_address(address)
                for facts in services.found.values()
                for address in facts.service.proxied
            )
        else:
            self.everywhere = self.elsewhere = frozenset()
        return True

    @property
    def all(self) -> tuple[Decision, ...]:
        """Return every decision, by address."""
        return tuple(sorted(d for decisions in self._made.values() for d in decisions))
