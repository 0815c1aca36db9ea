"""Addresses of Services on the dual-tor fabric: whose ToR routes they are, and who answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from containerlab.demo.fabric import CLIENT_ADDRESSES, Host
from containerlab.demo.tor import RouteWatch
from tests.support.datagrams import Stream
from tests.support.kube_proxy import Mode
from tests.support.services import PORT, RESTART_S, VIPS, Offer, Shop, shop
from tests.support.wait import NotYetError, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("iptables", "openssl", "nft"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def web() -> Iterator[Shop]:
    with shop() as made:
        made.make_service(Offer())
        yield made


def kernel_routes(web: Shop) -> list[str]:
    """Return what the nodes' kernels have of the addresses."""
    return [
        line
        for host in web.hosts
        for family, vip in VIPS.items()
        for line in host.node.run(
            ["ip", f"-{family}", "route", "show", "root", vip, "table", "all"]
        ).stdout.splitlines()
        if vip in line
    ]


def test_learned_from_the_node_with_the_endpoint_and_from_no_other(web: Shop) -> None:
    first, second = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    assert all(each["announced"] for each in web.ask(first))
    assert {each["why_not"] for each in web.ask(second)} == {
        f"traffic policy Local, and no ready IPv{family} endpoint on this node" for family in VIPS
    }
    for family in VIPS:
        with web.probing(family) as probe:
            probe.wait_connections()
        # The answer names the client itself: nothing on the way has masqueraded it.
        assert probe.answers == {f"node1 {CLIENT_ADDRESSES[family]}"}
        assert not probe.failures
    assert kernel_routes(web) == []


@pytest.fixture
def rules(web: Shop, request: pytest.FixtureRequest) -> Iterator[Mode]:
    web.use_rules(request.param)
    yield request.param
    web.use_rules(Mode.NFTABLES)


@pytest.mark.parametrize("rules", Mode, indirect=True)
@pytest.mark.parametrize("family", VIPS)
def test_nothing_is_lost_while_endpoints_are_replaced(web: Shop, rules: Mode, family: int) -> None:
    """A rolling update there and back: a new pod is ready, the old one terminates, then it ends."""
    first, second = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    served = [received(host) for host in web.hosts]
    stream = Stream(web.client, VIPS[family], PORT)
    try:
        for old, new in ((first, second), (second, first)):
            web.set_endpoints(**{old.name: "ready", new.name: "ready"})
            web.wait_announced_by(first, second)
            web.set_endpoints(**{old.name: "terminating", new.name: "ready"})
            web.wait_announced_by(new)
            web.wait_kernels(new)
            web.kill_server(old)
            web.set_endpoints(**{new.name: "ready"})
            web.wait_announced_by(new)
            web.serve(old)
        heard = stream.end()
    finally:
        stream.close()
    assert heard.lost == ()
    assert heard.sent > 500
    assert all(received(h) - n > 100 for h, n in zip(web.hosts, served, strict=True))


def received(host: Host) -> int:
    """Return how many packets the node's pods were sent."""
    shown = json.loads(host.node.run(["ip", "-j", "-s", "link", "show", "group", "28786"]).stdout)
    # Links of other groups are empty objects.
    return sum(link["stats64"]["tx"]["packets"] for link in shown if link)


def test_control_an_endpoint_that_dies_first_fails(web: Shop) -> None:
    first, second = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    stream = Stream(web.client, VIPS[4], PORT)
    try:
        with web.probing(4) as probe:
            probe.wait_connections()
            web.kill_server(first)
            probe.wait_connections()
            web.set_endpoints(node2="ready")
            web.wait_announced_by(second)
            web.wait_kernels(second)
            probe.wait_connections()
        heard = stream.end()
    finally:
        stream.close()
    web.serve(first)
    assert heard.lost
    assert probe.failures
    assert probe.nodes == {"node1", "node2"}


def test_withdrawn_before_the_last_endpoint_dies(web: Shop) -> None:
    first, _ = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    web.set_endpoints(node1="terminating")
    web.wait_announced_by()
    assert {each["why_not"] for each in web.ask(first)} == {
        "its last endpoints on this node are terminating"
    }


def test_policy_cluster_is_every_node(web: Shop) -> None:
    web.set_endpoints(node1="ready")
    path = "/api/v1/namespaces/shop/services/web"
    web.api.merge(path, {"spec": {"externalTrafficPolicy": "Cluster"}})
    web.wait_announced_by(*web.hosts)
    web.set_endpoints()
    web.wait_announced_by()
    web.api.merge(path, {"spec": {"externalTrafficPolicy": "Local"}})


def test_an_api_server_that_is_away_changes_nothing(web: Shop) -> None:
    first, _ = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    web.api.do("down")

    def noticed() -> bool:
        status = first.podroute("status")
        if "API server  connected" in status:
            raise NotYetError(status)
        return True

    wait_until(noticed, deadline_s=10, what="the outage is told")
    web.wait_announced_by(first)
    with web.probing(4) as probe:
        probe.wait_connections()
    assert not probe.failures
    web.api.do("up")


def test_an_agent_restarted_without_the_api_keeps_the_address(web: Shop) -> None:
    """The ToRs keep it as stale, and End-of-RIB comes with it; 9 s, half of RESTART_S and a bit."""
    first, _ = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    tor, network = web.fabric.tors[0], ip_network(VIPS[4])
    web.api.do("down")
    with RouteWatch(tor) as watch, web.probing(4) as probe:
        since = time.time() + 1
        first.agent.kill()
        web.start_agent(first)

        def fresh() -> bool:
            if why_not := tor.why_not_fresh(network, first.asn, since_epoch=since):
                raise NotYetError(f"{why_not}; {first.agent.log_tail()}")
            return True

        wait_until(fresh, deadline_s=RESTART_S, what="announced anew")
        probe.wait_connections()
    assert watch.removed(network) is None
    assert probe.failures == []
    web.api.do("up")
    web.wait_announced_by(first)


def test_control_without_the_memory_it_is_lost(web: Shop) -> None:
    first, _ = web.hosts
    web.set_endpoints(node1="ready")
    web.wait_announced_by(first)
    web.api.do("down")
    with RouteWatch(web.fabric.tors[0]) as watch:
        first.agent.kill()
        first.node.run(["rm", "/run/podroute/services.json"])
        web.start_agent(first)
        wait_until(
            lambda: watch.removed(ip_network(VIPS[4])), deadline_s=RESTART_S, what="withdrawn"
        )
    web.api.do("up")
    web.wait_announced_by(first)
