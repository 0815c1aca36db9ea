"""The rules of kube-proxy's three modes do what kube-proxy's do, before anything relies on them.

client - node - pod (of the node), other (a pod elsewhere: beyond a router, for what matters here).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from tests.support.kube_proxy import FAMILIES, KubeProxy, Mode
from tests.support.netns import Namespace
from tests.support.service_port import Endpoint, ServicePort
from tests.support.service_town import CLIENT, OTHER, POD, PODS, TARGET, connect, node_of, serve
from tests.support.who_answers import ask, ask_often

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.needs("nft", "iptables", "ip6tables"),
]

VIP = {4: "203.0.113.7", 6: "2001:db8:cafe::7"}
CLUSTER_IP = {4: "10.96.0.7", 6: "fd00:96::7"}


@dataclass(slots=True, kw_only=True)
class Town:
    """The namespaces."""

    node: Namespace
    client: Namespace
    pod: Namespace
    other: Namespace


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(closing(Namespace(name)))
            for name in ("node", "client", "pod", "other")
        }
        node = made["node"]
        node_of(node)
        for name, addresses in (("client", CLIENT), ("pod", POD), ("other", OTHER)):
            connect(node, name, made[name], addresses)
        for gateway in CLIENT.values():
            node.run(["ip", "route", "add", "default", "via", gateway, "dev", "client", "onlink"])
        for name in ("pod", "other"):
            serve(made[name], name, stack)
        yield Town(node=node, client=made["client"], pod=made["pod"], other=made["other"])


@pytest.fixture(params=Mode)
def proxy(town: Town, request: pytest.FixtureRequest) -> Iterator[KubeProxy]:
    made = KubeProxy(town.node, request.param, PODS)
    yield made
    made.clear()
    left = town.node.run(["sh", "-c", "nft list ruleset | grep -i kube-; ip -br link"]).stdout
    assert "kube" not in left.lower()


def service(family: int, *states: str, is_local: bool = False) -> ServicePort:
    """Return a Service with endpoints here ("here", "here-leaving") and there ("there")."""
    return ServicePort(
        name=f"shop/web{family}:http",
        vips=(VIP[family],),
        cluster_ip=CLUSTER_IP[family],
        is_local=is_local,
        endpoints=tuple(
            Endpoint(
                address=(OTHER if "there" in state else POD)[family],
                port=TARGET,
                is_local="here" in state and "there" not in state,
                is_ready="leaving" not in state,
            )
            for state in states
        ),
    )


def sync(proxy: KubeProxy, *states: str, is_local: bool = False) -> None:
    proxy.sync(service(family, *states, is_local=is_local) for family in FAMILIES)


def answering(place: Namespace, address: str) -> set[str]:
    """Return who answers, of many times; with two endpoints one stays away once in 32000 runs."""
    return {each.who for each in ask_often(place, address, 80, times=16)}


@pytest.mark.parametrize("family", FAMILIES)
def test_everybody_reaches_a_vip_and_a_cluster_ip(
    town: Town, proxy: KubeProxy, family: int
) -> None:
    sync(proxy, "here", "there")
    for place in (town.client, town.node, town.pod, town.other):
        for address in (VIP[family], CLUSTER_IP[family]):
            assert answering(place, address) == {"pod", "other"}, (place.name, address)


@pytest.mark.parametrize("family", FAMILIES)
def test_policy_local_keeps_the_client_and_the_node(
    town: Town, proxy: KubeProxy, family: int
) -> None:
    sync(proxy, "here", "there", is_local=True)
    asked = ask_often(town.client, VIP[family], 80, times=8)
    assert {(each.who, each.client) for each in asked} == {("pod", CLIENT[family])}
    # Of the node itself and of pods it is no matter.
    assert answering(town.node, VIP[family]) == {"pod", "other"}


@pytest.mark.parametrize("family", FAMILIES)
def test_policy_cluster_masquerades(town: Town, proxy: KubeProxy, family: int) -> None:
    sync(proxy, "there")
    asked = ask(town.client, VIP[family], 80)
    assert asked.who == "other"
    assert asked.client != CLIENT[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_who_terminates_is_used_when_nobody_else_is_left(
    town: Town, proxy: KubeProxy, family: int
) -> None:
    sync(proxy, "here-leaving", "there", is_local=True)
    assert ask(town.client, VIP[family], 80).who == "pod"
    sync(proxy, "here-leaving", "there")
    assert answering(town.client, VIP[family]) == {"other"}


@pytest.mark.parametrize("family", FAMILIES)
def test_without_endpoints_it_refuses(town: Town, proxy: KubeProxy, family: int) -> None:
    sync(proxy)
    assert ask(town.client, VIP[family], 80, timeout_s=2).failure
    sync(proxy, "there", is_local=True)
    assert ask(town.client, VIP[family], 80, timeout_s=1).failure
    # The node's own processes and pods are served from elsewhere.
    assert {ask(place, VIP[family], 80).who for place in (town.node, town.pod)} == {"other"}
    sync(proxy, "here", is_local=True)
    assert ask(town.client, VIP[family], 80).who == "pod"


@pytest.mark.parametrize("family", FAMILIES)
def test_control_nobody_is_reached_without_rules(town: Town, proxy: KubeProxy, family: int) -> None:
    sync(proxy, "here")
    assert ask(town.client, VIP[family], 80).who == "pod"
    proxy.clear()
    assert ask(town.client, VIP[family], 80, timeout_s=1).failure


def test_ipvs_mode_makes_the_vip_the_nodes_own(town: Town) -> None:
    proxy = KubeProxy(town.node, Mode.IPVS, PODS)
    sync(proxy, "here")
    found = town.node.run(["ip", "route", "get", VIP[4]]).stdout
    # An unused port of it is answered by the node itself.
    failure = ask(town.client, VIP[4], 81, timeout_s=2).failure
    proxy.clear()
    assert found.startswith("local")
    assert "refused" in failure
