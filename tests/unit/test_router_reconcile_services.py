"""Which Service addresses a node announces: the table of policies, families and endpoints."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from router.model.service import Facts, Key, Services, ServiceView, Serving
from router.reconcile.services import (
    Deciding,
    Decision,
    Kind,
    Reserved,
    ServiceSettings,
    decide,
)

ALL = ServiceSettings(load_balancer=True, external=True, cluster=True)
WEB = Key("shop", "web")
VIEW = ServiceView(
    key=WEB,
    labels={"announce": "yes", "tier": "web"},
    load_balancer=(ip_address("203.0.113.1"), ip_address("2001:db8:cafe::1")),
    external=(ip_address("198.51.100.7"),),
    cluster=(ip_address("10.96.0.10"),),
)
NONE, HERE, LEAVING_HERE = Serving(0), Serving.READY_HERE | Serving.READY, Serving.LEAVING_HERE
THERE, LEAVING_THERE = Serving.READY, Serving.LEAVING
LEAVING = LEAVING_HERE | Serving.LEAVING
NOBODY = Reserved()


def facts(view: ServiceView = VIEW, v4: Serving = NONE, v6: Serving = NONE) -> Facts:
    return Facts(view, {4: v4, 6: v6})


def announced(found: tuple[Decision, ...]) -> set[str]:
    return {str(d.address) for d in found if not d.why_not}


def why_not(found: tuple[Decision, ...], address: str) -> str:
    return next(d.why_not for d in found if str(d.address) == address)


@pytest.mark.parametrize(
    ("serving", "is_cluster", "is_local", "why_local"),
    [
        pytest.param(NONE, False, False, "no ready IPv4 endpoint on this node", id="nothing"),
        pytest.param(HERE, True, True, "", id="ready here"),
        pytest.param(THERE, True, False, "no ready IPv4 endpoint", id="ready elsewhere"),
        pytest.param(LEAVING, True, False, "are terminating", id="the last one is terminating"),
        pytest.param(LEAVING | THERE, True, False, "are terminating", id="going, others there"),
        pytest.param(LEAVING | HERE, True, True, "", id="one of two here is terminating"),
        pytest.param(LEAVING_THERE, True, False, "no ready IPv4", id="terminating elsewhere"),
    ],
)
def test_policies(serving: Serving, is_cluster: bool, is_local: bool, why_local: str) -> None:
    settings = ServiceSettings(external=True)
    address = "198.51.100.7/32"
    found = decide(facts(v4=serving), settings, NOBODY)
    assert announced(found) == ({address} if is_cluster else set())
    assert is_cluster or why_not(found, address) == "there is no IPv4 endpoint"
    local = facts(replace(VIEW, external_local=True), v4=serving)
    found = decide(local, settings, NOBODY)
    assert announced(found) == ({address} if is_local else set())
    assert why_local in why_not(found, address)


def test_each_family_has_its_own_endpoints() -> None:
    found = decide(facts(v6=HERE), ServiceSettings(load_balancer=True), NOBODY)
    assert announced(found) == {"2001:db8:cafe::1/128"}
    assert why_not(found, "203.0.113.1/32") == "there is no IPv4 endpoint"


def test_cluster_ips_follow_the_internal_policy_and_the_others_the_external_one() -> None:
    internal = decide(facts(replace(VIEW, internal_local=True), v4=THERE, v6=THERE), ALL, NOBODY)
    assert announced(internal) == {"203.0.113.1/32", "2001:db8:cafe::1/128", "198.51.100.7/32"}
    external = decide(facts(replace(VIEW, external_local=True), v4=THERE, v6=THERE), ALL, NOBODY)
    assert announced(external) == {"10.96.0.10/32"}


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        (ServiceSettings(), set()),
        (ServiceSettings(load_balancer=True), {Kind.LOAD_BALANCER}),
        (ServiceSettings(external=True), {Kind.EXTERNAL}),
        (ServiceSettings(cluster=True), {Kind.CLUSTER}),
        (ALL, set(Kind)),
        (replace(ALL, selector=(("announce", "yes"), ("tier", "web"))), set(Kind)),
        (replace(ALL, selector=(("announce", "no"),)), set()),
        (replace(ALL, selector=(("missing", ""),)), set()),
    ],
)
def test_only_what_was_asked_for(settings: ServiceSettings, kinds: set[Kind]) -> None:
    found = decide(facts(v4=HERE, v6=HERE), settings, NOBODY)
    assert {decision.kind for decision in found} == kinds


def test_a_service_that_goes_and_an_address_that_kube_proxy_leaves_alone() -> None:
    found = decide(facts(replace(VIEW, is_leaving=True), v4=HERE, v6=HERE), ALL, NOBODY)
    assert announced(found) == set()
    proxied = replace(VIEW, proxied=VIEW.load_balancer[:1])
    found = decide(facts(proxied, v4=HERE, v6=HERE), ALL, NOBODY)
    assert "ipMode" in why_not(found, "203.0.113.1/32")
    assert "2001:db8:cafe::1/128" in announced(found)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("169.254.1.1", "169.254.0.0/16"),
        ("fe80::1", "fe80::/10"),
        ("0.0.0.0", "0.0.0.0/8"),
        ("224.0.0.5", "224.0.0.0/3"),
        ("10.255.1.1", "10.255.1.1/32"),
        ("10.0.1.2", "10.0.1.2/32"),
        ("10.244.7.7", "10.244.0.0/16"),
        ("10.255.9.9", "10.255.0.0/16"),
        ("10.255.200.1", ""),
        ("203.0.113.1", ""),
    ],
)
def test_whoever_may_write_a_service_cannot_take_a_machines_address(address: str, why: str) -> None:
    """CVE-2020-8554: externalIPs are the choice of everybody who may write a Service."""
    reserved = Reserved(
        own=frozenset({Prefix.parse("10.255.1.1"), Prefix.parse("10.0.1.2")}),
        ranges=(Prefix.parse("10.244.0.0/16"), Prefix.parse("10.255.0.0/16")),
        services=(Prefix.parse("10.255.200.0/24"),),
    )
    view = replace(VIEW, external=(ip_address(address),))
    (found,) = decide(facts(view, v4=HERE, v6=HERE), ServiceSettings(external=True), reserved)
    assert (why in found.why_not) if why else not found.why_not
    assert found.is_reserved is bool(why)


def test_an_address_that_two_services_share_needs_one_that_serves_it() -> None:
    other = replace(VIEW, key=Key("shop", "dns"), external_local=True)
    services = Services(
        is_known=True, found={WEB: facts(v4=THERE, v6=THERE), other.key: facts(other)}
    )
    deciding = Deciding()
    deciding.take(services, ServiceSettings(external=True), NOBODY)
    assert deciding.announced == deciding.addresses == {Prefix.parse("198.51.100.7")}
    assert [bool(d.why_not) for d in deciding.all] == [True, False]


def test_what_is_not_announced_here_is_never_learned_either() -> None:
    deciding = Deciding()
    found = {WEB: facts(replace(VIEW, external_local=True))}
    reserved = Reserved(own=frozenset({Prefix.parse("203.0.113.1")}))
    deciding.take(Services(is_known=True, found=found), ALL, reserved)
    assert deciding.announced == set()
    assert {str(prefix) for prefix in deciding.addresses} == {
        "2001:db8:cafe::1/128",
        "198.51.100.7/32",
        "10.96.0.10/32",
    }
