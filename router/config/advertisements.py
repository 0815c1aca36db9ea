"""What a node announces: `announce`, or the list `advertisements`, which adds up. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bgp.advertisement import Advertisement
from bgp.filter import MAX_PREPEND, Change
from bgp.nlri import Prefix
from router.config import words
from router.config.document import Section
from router.config.layers import Layers
from router.config.peer_names import PeerNames
from router.config.services import read_services
from router.model.link import Address
from router.reconcile.services import ServiceSettings

_MAX_U32: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """Everything of the document about announcements."""

    pod_cidrs: bool = True
    node_addresses: bool = False
    services: ServiceSettings = field(default_factory=ServiceSettings)
    prefixes: tuple[Prefix, ...] = ()
    advertisements: tuple[Advertisement, ...] = ()


def read_announced(
    layers: Layers,
    labels: Mapping[str, str],
    peers: PeerNames,
    *,
    pod_cidrs: Iterable[Prefix],
    node_addresses: Iterable[Address],
    service_prefixes: Iterable[Prefix],
) -> Announced:
    """Read it; what is wrong is noted in the sections. `labels` are the node's."""

    def services_of(part: Section) -> ServiceSettings:
        return read_services(part, labels, service_prefixes)

    section = layers.of("announce").section("announce")
    layers.of("advertisements")
    items = [item for each in layers.all for item in each.sections("advertisements")]
    if not items:
        found = Announced(
            pod_cidrs=section.value("pod_cidrs", words.boolean, True),
            node_addresses=section.value("node_addresses", words.boolean, False),
            services=services_of(section),
            prefixes=section.values("prefixes", words.prefix),
        )
        section.finish()
        return found
    if section.node is not None:
        section.problem("not together with advertisements: they say all that is announced")
    hosts = tuple(map(Prefix.from_address, node_addresses))
    return _added_up(items, peers, tuple(pod_cidrs), hosts, services_of)


def _added_up(
    items: list[Section],
    peers: PeerNames,
    pod_cidrs: tuple[Prefix, ...],
    hosts: tuple[Prefix, ...],
    services_of: Callable[[Section], ServiceSettings],
) -> Announced:
    made: list[Advertisement] = []
    prefixes: list[Prefix] = []
    services = ServiceSettings()
    with_services = ""
    any_pods = any_hosts = False
    for item in items:
        name = item.value("name", words.word, item.path)
        pods = item.value("pod_cidrs", words.boolean, False)
        own = item.value("node_addresses", words.boolean, False)
        extra = item.values("prefixes", words.prefix)
        wanted = services_of(item)
        if wanted.is_wanted and with_services:
            item.problem(
                f"{with_services} has services, too: give one advertisement all of them",
                item.node_of("services"),
                "services",
            )
        if wanted.is_wanted:
            services, with_services = wanted, name
        if not (pods or own or extra or wanted.is_wanted):
            item.problem("announces nothing: give pod_cidrs, node_addresses, services or prefixes")
        any_pods, any_hosts = any_pods or pods, any_hosts or own
        prefixes += extra
        made.append(
            Advertisement(
                name=name,
                prefixes=frozenset((*extra, *(pod_cidrs if pods else ()), *(hosts if own else ()))),
                services=wanted.is_wanted,
                peers=frozenset(item.values("peers", peers.read)),
                change=_change(item),
            )
        )
        item.finish()
    return Announced(
        pod_cidrs=any_pods,
        node_addresses=any_hosts,
        services=services,
        prefixes=tuple(dict.fromkeys(prefixes)),
        advertisements=tuple(made),
    )


def _change(item: Section) -> Change:
    number = words.integer(0, _MAX_U32)
    return Change(
        add_communities=item.values("communities", words.community),
        add_large_communities=item.values("large_communities", words.large_community),
        local_preference=item.value("local_preference", number, None),
        med=item.value("med", number, None),
        prepend=item.value("prepend", words.integer(1, MAX_PREPEND), 0),
    )
