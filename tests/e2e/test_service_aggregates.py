"""Addresses of Services announced together, on the dual-tor fabric with kube-proxy's rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from containerlab.demo.fabric import Host
from containerlab.netlab.errors import NodeError
from tests.support.datagrams import Stream
from tests.support.fabric_routes import teach_routes
from tests.support.services import HOST_PREFIXES, PORT, VIPS, Offer, Shop, shop
from tests.support.wait import NotYetError, wait_until
from tests.support.who_answers import ask

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("openssl", "nft"),
    pytest.mark.timeout(180),
]

AGGREGATES = ("203.0.113.0/24", "2001:db8:cafe::/112")
UNUSED = {4: "203.0.113.200", 6: "2001:db8:cafe::200"}
CLUSTER = {"service_prefixes": ["203.0.113.0/24", "2001:db8:cafe::/48"]}
SINGLE: dict[str, Any] = {"announce": {"services": {"load_balancer": True}}, "cluster": CLUSTER}
TOGETHER: dict[str, Any] = {
    "announce": {"services": {"load_balancer": True, "aggregate": {"ipv4": 24, "ipv6": 112}}},
    "cluster": CLUSTER,
}
TABLE = ["nft", "list", "table", "inet", "podroute-services"]


@pytest.fixture(scope="module")
def web() -> Iterator[Shop]:
    with shop(settings=TOGETHER) as made:
        made.make_service(Offer(policy="Cluster"))
        made.set_endpoints(node1="ready", node2="ready")
        made.wait_announced_by(*made.hosts, prefixes=AGGREGATES)
        teach_routes(made)
        be_no_transit(made)
        yield made


def be_no_transit(web: Shop) -> None:
    """Let the router outside tell neither ToR what the other has.

    Else a prefix that all nodes withdraw is looked for there for a moment (path hunting), and
    a longer one is used although the shorter works.
    """
    lines = ["configure terminal"]
    for word, family, network, length in (
        ("ip", "ipv4", "198.51.100.0/24", 32),
        ("ipv6", "ipv6", "2001:db8:51::/48", 128),
    ):
        lines += [
            f"{word} prefix-list OWN seq 10 permit {network} le {length}",
            "router bgp 65000",
            f"address-family {family} unicast",
            f"neighbor TORS{family[-1]} prefix-list OWN out",
            "exit",
            "exit",
        ]
    web.client.run(["vtysh", *(word for line in lines for word in ("-c", line))])
    web.client.run(["vtysh", "-c", "clear bgp * soft out"])

    def apart() -> bool:
        for tor in web.fabric.tors:
            table = tor.show(f"bgp ipv4 unicast {AGGREGATES[0]}")
            paths = [p["aspath"]["string"] for p in table.get("paths", ())]
            if any(" " in path for path in paths):
                raise NotYetError(f"{tor.node.name}: {paths}")
        return True

    wait_until(apart, deadline_s=10, what="the ToRs hear nothing of each other")


def table(host: Host) -> str:
    return host.node.run(TABLE, check=False).stdout


def services(host: Host) -> dict[str, Any]:
    return dict(json.loads(host.podroute("status", "-o", "json"))["services"])


def test_only_the_aggregate_is_announced_and_its_unused_addresses_are_refused(web: Shop) -> None:
    web.wait_announced_by(prefixes=HOST_PREFIXES)
    for family in VIPS:
        assert ask(web.client, VIPS[family], PORT).who in ("node1", "node2")
        refused = ask(web.client, UNUSED[family], PORT)
        assert "refused" in refused.failure
        assert refused.took_s < 1
    for host in web.hosts:
        assert services(host)["aggregates"] == list(AGGREGATES)
        kernel = host.node.run(
            ["ip", "route", "show", "table", "all", "type", "unreachable"]
        ).stdout
        assert "203.0.113" not in kernel


def test_put_back_when_somebody_takes_it_away(web: Shop) -> None:
    host = web.hosts[0]
    before = services(host)["repairs"]
    host.node.run(["nft", "delete", "table", "inet", "podroute-services"])

    def back() -> bool:
        if not all(aggregate in table(host) for aggregate in AGGREGATES):
            raise NotYetError(table(host))
        return bool(services(host)["repairs"] == before + 1)

    wait_until(back, deadline_s=10, what="the table is back")
    web.wait_announced_by(*web.hosts, prefixes=AGGREGATES)


def test_nothing_is_lost_while_one_replaces_the_other(web: Shop) -> None:
    streams = [Stream(web.client, VIPS[family], PORT) for family in VIPS]
    try:
        for settings, there, gone in (
            (SINGLE, HOST_PREFIXES, AGGREGATES),
            (TOGETHER, AGGREGATES, HOST_PREFIXES),
        ):
            for host in web.hosts:
                web.configure(host, settings)
            web.wait_announced_by(*web.hosts, prefixes=there)
            web.wait_announced_by(prefixes=gone)
        heard = [stream.end() for stream in streams]
    finally:
        for stream in streams:
            stream.close()
    assert [each.lost for each in heard] == [(), ()]
    assert all(each.sent > 200 for each in heard)


def test_a_restarted_agent_keeps_table_and_aggregate(web: Shop) -> None:
    host = web.hosts[0]
    stream = Stream(web.client, VIPS[4], PORT)
    try:
        host.agent.kill()
        assert all(aggregate in table(host) for aggregate in AGGREGATES)
        web.start_agent(host)

        def announces() -> bool:
            try:
                return bool(services(host)["aggregates"] == list(AGGREGATES))
            except NodeError as error:
                raise NotYetError(error) from error

        wait_until(announces, deadline_s=20, what="the agent announces again")
        heard = stream.end()
    finally:
        stream.close()
    assert heard.lost == ()
    assert heard.sent > 200
    web.wait_announced_by(*web.hosts, prefixes=AGGREGATES)


def test_without_endpoints_nothing_is_left(web: Shop) -> None:
    """Datagrams sent meanwhile are the control of the tests that lose none."""
    streams = [Stream(web.client, VIPS[family], PORT) for family in VIPS]
    try:
        web.set_endpoints()
        web.wait_announced_by(prefixes=AGGREGATES)
        heard = [stream.end() for stream in streams]
    finally:
        for stream in streams:
            stream.close()
    assert all(each.lost for each in heard)

    def gone() -> bool:
        left = [host.name for host in web.hosts if table(host)]
        if left:
            raise NotYetError(left)
        return True

    wait_until(gone, deadline_s=10, what="the tables are gone")
    web.set_endpoints(node1="ready", node2="ready")
    web.wait_announced_by(*web.hosts, prefixes=AGGREGATES)
