"""`announce.services` of a document."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from router.config.document import ConfigError, read_document
from router.config.services import read_services
from router.reconcile.service_aggregates import AggregateSettings
from router.reconcile.services import EXCLUDE_LABEL, ZONE_LABEL, ServiceSettings
from tests.support.agent import CONFIG, settings_of

ANNOUNCE = "announce: {node_addresses: true}"


def read(services: str) -> ServiceSettings:
    return settings_of(with_services(services)).services


def with_services(services: str) -> str:
    return CONFIG.replace(ANNOUNCE, f"announce: {{node_addresses: true, services: {services}}}")


def test_nothing_by_default() -> None:
    assert settings_of(CONFIG).services == ServiceSettings()
    assert not read("{}").is_wanted


def test_all_of_it() -> None:
    found = read('{load_balancer: true, external: true, cluster: true, selector: {a/b: "1", c: d}}')
    selector = (("a/b", "1"), ("c", "d"))
    assert found == ServiceSettings(
        load_balancer=True, external=True, cluster=True, selector=selector
    )


@pytest.mark.parametrize(
    ("services", "problem"),
    [
        ("{loadbalancer: true}", "unknown key; did you mean 'load_balancer'?"),
        ("{external: maybe}", "announce.services.external"),
        ("{selector: {a: b}}", "nothing of these Services is announced"),
        ("{external: true, selector: {'no label': b}}", "announce.services.selector"),
        ("{external: true, aggregate: {ipv4: 32}}", "announce.services.aggregate.ipv4"),
        ("{external: true, aggregate: {ipv4: 24}}", "no IPv4 prefix of cluster.service_prefixes"),
        ("{external: true, aggregate: {keep_single: true}}", "needs ipv4 or ipv6"),
        ("{external: true, topology: rack}", "announce.services.topology"),
        ("{without_endpoints: announce}", "set load_balancer, external or cluster"),
        ("true", "must be a mapping"),
    ],
)
def test_what_is_wrong_is_named(services: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(services)
    assert problem in str(caught.value)
    assert "line 6" in str(caught.value)


def test_without_an_api_server_it_says_so() -> None:
    (note,) = settings_of(with_services("{external: true}")).notes
    assert "API server" in note


def test_the_guard_refuses_the_address_and_takes_what_is_around_it() -> None:
    text = CONFIG + "import: {also_accept: [{prefix: 203.0.113.0/24, le: 32}]}\n"
    settings = settings_of(text)
    vip, elsewhere = Prefix.parse("203.0.113.7"), Prefix.parse("198.51.100.1")
    policy = settings.import_policy(frozenset({vip, elsewhere}))
    # What no rule takes is no reason to judge every path anew.
    assert policy.service_addresses == {vip}
    assert settings.import_policy(frozenset({elsewhere})) == settings.import_policy()
    why_not = policy._why_not_with_services
    assert why_not(vip) == "is the address of a Service"
    assert why_not(Prefix.parse("203.0.113.0/24")) == why_not(Prefix.parse("203.0.113.8")) == ""


def test_what_no_service_may_have() -> None:
    text = CONFIG.replace("node_prefixes: [", "service_prefixes: [10.255.9.0/24], node_prefixes: [")
    reserved = settings_of(text).reserved()
    for address in ("10.255.1.1", "10.244.1.9", "10.0.1.2", "10.244.7.7", "10.255.7.7"):
        assert reserved.why_not(Prefix.from_address(ip_address(address))), address
    assert not reserved.why_not(Prefix.parse("10.255.9.7"))
    assert not replace(reserved, ranges=()).why_not(Prefix.parse("203.0.113.7"))


def test_aggregates_and_policies() -> None:
    text = with_services(
        "{external: true, aggregate: {ipv4: 24, keep_single: true}, topology: zone,"
        " without_endpoints: announce}"
    ).replace("cluster: {", "cluster: {service_prefixes: [203.0.112.0/22], ")
    assert settings_of(text).services == ServiceSettings(
        external=True,
        aggregate=AggregateSettings(ipv4=24, keep_single=True),
        by_zone=True,
        announce_empty=True,
    )


@pytest.mark.parametrize(
    ("labels", "heed", "excluded"),
    [
        ({EXCLUDE_LABEL: ""}, "true", True),
        ({EXCLUDE_LABEL: "false"}, "true", True),
        ({EXCLUDE_LABEL: ""}, "false", False),
        ({}, "true", False),
    ],
)
def test_what_the_nodes_labels_say(labels: dict[str, str], heed: str, excluded: bool) -> None:
    top = read_document(f"services: {{external: true, heed_exclude_label: {heed}}}", "test")
    found = read_services(top, {**labels, ZONE_LABEL: "a"}, ())
    assert not top.problems
    assert (found.is_excluded, found.zone) == (excluded, "a")
