"""`announce.services`: which addresses of which Services, and how. PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from bgp.nlri import BITS, Prefix
from router.config import words
from router.config.document import Section
from router.reconcile.service_aggregates import AggregateSettings
from router.reconcile.services import EXCLUDE_LABEL, ZONE_LABEL, ServiceSettings


class Empty(StrEnum):
    """What becomes of an address without any endpoint."""

    WITHDRAW = "withdraw"
    ANNOUNCE = "announce"


class Topology(StrEnum):
    """What hints of endpoints mean."""

    IGNORE = "ignore"
    ZONE = "zone"


def read_services(
    announce: Section, labels: Mapping[str, str], services: Iterable[Prefix]
) -> ServiceSettings:
    """Read the section; what is wrong is noted there.

    `labels` are the node's, `services` the `cluster.service_prefixes`.
    """
    section = announce.section("services")
    heeds_label = section.value("heed_exclude_label", words.boolean, True)
    empty = section.value("without_endpoints", words.choice(Empty), Empty.WITHDRAW)
    topology = section.value("topology", words.choice(Topology), Topology.IGNORE)
    settings = ServiceSettings(
        load_balancer=section.value("load_balancer", words.boolean, False),
        external=section.value("external", words.boolean, False),
        cluster=section.value("cluster", words.boolean, False),
        selector=tuple(sorted(section.texts("selector", words.label_key).items())),
        aggregate=_aggregate(section.section("aggregate"), tuple(services)),
        announce_empty=empty is Empty.ANNOUNCE,
        by_zone=topology is Topology.ZONE,
        zone=labels.get(ZONE_LABEL, ""),
        is_excluded=heeds_label and EXCLUDE_LABEL in labels,
    )
    if not settings.is_wanted:
        for key in ("selector", "aggregate", "without_endpoints", "topology"):
            if section.has(key):
                section.problem(
                    "nothing of these Services is announced: set load_balancer, external or"
                    " cluster",
                    section.node_of(key),
                    key,
                )
    section.finish()
    return settings


def _aggregate(section: Section, services: tuple[Prefix, ...]) -> AggregateSettings:
    lengths = {
        family: section.value(f"ipv{family}", words.integer(1, bits - 1), None)
        for family, bits in BITS.items()
    }
    for family, length in lengths.items():
        if length is None:
            continue
        if not any(p.family == family and p.length <= length for p in services):
            section.problem(
                f"no IPv{family} prefix of cluster.service_prefixes has room for a /{length}:"
                " only inside them addresses are announced together",
                section.node_of(f"ipv{family}"),
                f"ipv{family}",
            )
    settings = AggregateSettings(
        ipv4=lengths[4],
        ipv6=lengths[6],
        keep_single=section.value("keep_single", words.boolean, False),
    )
    if section.has("keep_single") and not settings.is_wanted:
        section.problem("needs ipv4 or ipv6", section.node_of("keep_single"), "keep_single")
    section.finish()
    return settings
