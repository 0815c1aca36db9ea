"""Which Service addresses a node announces: the table of policies, families and endpoints."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from containerlab.fakeapi import objects
from router.kube.service_convert import slice_view
from router.model.service import Facts, Key, Services, ServiceView, Serving, SliceView
from router.reconcile.service_index import ServiceIndex
from router.reconcile.services import (
    EXCLUDE_LABEL,
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


EMPTY = replace(ALL, announce_empty=True)


@pytest.mark.parametrize(
    ("serving", "is_local", "is_announced"),
    [
        pytest.param(NONE, False, True, id="cluster, nothing"),
        pytest.param(NONE, True, True, id="local, nothing anywhere"),
        pytest.param(THERE, True, False, id="local, elsewhere"),
        pytest.param(LEAVING, True, False, id="local, the last one is terminating here"),
        pytest.param(LEAVING_THERE, True, False, id="local, the last one is terminating there"),
    ],
)
def test_without_endpoints_everybody_announces_if_so_wished(
    serving: Serving, is_local: bool, is_announced: bool
) -> None:
    view = replace(VIEW, external_local=is_local)
    found = announced(decide(facts(view, v4=serving), EMPTY, NOBODY))
    assert ("203.0.113.1/32" in found) is is_announced


@pytest.mark.parametrize(
    ("zones", "zone", "is_announced", "is_everywhere"),
    [
        pytest.param((), "a", True, True, id="no hints"),
        pytest.param(("a", "b"), "a", True, False, id="one of them"),
        pytest.param(("b",), "a", False, False, id="not of them"),
        pytest.param(("b",), "", True, False, id="a node without a zone"),
    ],
)
def test_zones_of_hints(
    zones: tuple[str, ...], zone: str, is_announced: bool, is_everywhere: bool
) -> None:
    hinted = Facts(VIEW, {4: THERE, 6: NONE}, {4: frozenset(zones)} if zones else {})
    found = decide(hinted, replace(ALL, by_zone=True, zone=zone), NOBODY)
    assert ("203.0.113.1/32" in announced(found)) is is_announced
    assert found[0].is_everywhere is is_everywhere
    if not is_announced:
        assert why_not(found, "203.0.113.1/32") == "its endpoints are for b; this node is in zone a"
    # Where nobody asked for it, hints mean nothing.
    assert "203.0.113.1/32" in announced(decide(hinted, replace(ALL, zone=zone), NOBODY))


def test_hints_say_nothing_with_policy_local() -> None:
    view = replace(VIEW, external_local=True)
    hinted = Facts(view, {4: HERE, 6: NONE}, {4: frozenset({"b"})})
    found = decide(hinted, replace(ALL, by_zone=True, zone="a"), NOBODY)
    assert "203.0.113.1/32" in announced(found)


def test_a_node_kept_out_of_load_balancing() -> None:
    found = decide(facts(v4=HERE, v6=HERE), replace(ALL, is_excluded=True), NOBODY)
    assert announced(found) == {"198.51.100.7/32", "10.96.0.10/32"}
    assert EXCLUDE_LABEL in why_not(found, "203.0.113.1/32")


def hinted(name: str, serving: Serving, *zones: str, family: int = 4) -> SliceView:
    return SliceView(
        key=Key("shop", name), service=WEB, family=family, serving=serving, zones=frozenset(zones)
    )


@pytest.mark.parametrize(
    ("slices", "zones"),
    [
        pytest.param((hinted("1", THERE),), {}, id="none"),
        pytest.param((hinted("1", THERE, "a"), hinted("2", HERE, "b")), {4: {"a", "b"}}, id="all"),
        pytest.param((hinted("1", THERE, "a"), hinted("2", HERE)), {}, id="one slice without"),
        pytest.param(
            (hinted("1", THERE, "a"), hinted("2", LEAVING)), {4: {"a"}}, id="one without ready ones"
        ),
        pytest.param(
            (hinted("1", THERE, "a"), hinted("2", HERE, family=6)), {4: {"a"}}, id="by family"
        ),
    ],
)
def test_hints_count_where_all_have_them(
    slices: tuple[SliceView, ...], zones: dict[int, set[str]]
) -> None:
    index = ServiceIndex()
    index.put_service(VIEW)
    for view in slices:
        index.put_slice(view)
    assert index.facts[WEB].zones == zones


def test_hints_of_a_slice() -> None:
    def read(*endpoints: dict[str, object]) -> frozenset[str]:
        raw = objects.endpoint_slice("web-1", "web", endpoints)
        view = slice_view(Key("shop", "web-1"), raw, "node1")
        assert view is not None
        return view.zones

    def endpoint(*zones: str, ready: bool = True) -> dict[str, object]:
        made = objects.endpoint("10.244.1.9", "node1", ready=ready)
        return {**made, "hints": {"forZones": [{"name": zone} for zone in zones]}}

    assert read(endpoint("a"), endpoint("b", "c")) == {"a", "b", "c"}
    assert read(endpoint("a"), objects.endpoint("10.244.1.9", "node1")) == frozenset()
    assert read(endpoint("a"), endpoint(ready=False)) == {"a"}
    assert read({**endpoint("a"), "hints": "odd"}) == frozenset()
