"""The node's own address leaves and returns: host routes prefer it as source. Real kernel."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import CniNode, first_packet_passes, pods_of
from tests.support.netns import Namespace
from tests.support.wait import NotYetError, wait_until

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")
NODE_ADDRESSES = ("10.255.1.1/32", "fd00:255:1::1/128")


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        node.start()
        for name in ("a", "b"):
            node.sandbox(name)
        yield node


def node_addresses(node: CniNode, action: str) -> None:
    for address in NODE_ADDRESSES:
        node.namespace.run(["ip", "addr", action, address, "dev", "lo"])


def host_routes(node: CniNode) -> dict[str, str | None]:
    """Return destination -> preferred source of every host route of ours."""
    found: dict[str, str | None] = {}
    for family in ("-4", "-6"):
        argv = ["ip", "-j", family, "route", "show", "proto", "73"]
        for route in json.loads(node.namespace.run(argv).stdout or "[]"):
            found[route["dst"]] = route.get("prefsrc")
    return found


def link_indexes(node: CniNode) -> dict[str, int]:
    listed = json.loads(node.namespace.run(["ip", "-j", "link", "show", "type", "veth"]).stdout)
    return {link["ifname"]: link["ifindex"] for link in listed}


def becomes(look: Callable[[], Any], expected: Any, what: str) -> None:
    """Wait; the deadline is a busy machine's, nothing that is promised."""

    def is_so() -> bool:
        if (seen := look()) != expected:
            raise NotYetError(seen)
        return True

    wait_until(is_so, deadline_s=10, what=what)


def notes(node: CniNode) -> list[str]:
    """Return for which addresses `podroute pods` misses a host route."""
    return [address for pod in pods_of(node)["pods"] for address in pod["no_host_route"]]


def test_pods_outlive_the_node_s_address(node: CniNode) -> None:
    answers = [node.add(name) for name in ("a", "b")]
    before, links = host_routes(node), link_indexes(node)
    node_addresses(node, "del")
    becomes(lambda: host_routes(node), dict.fromkeys(before), "routes without preferred source")
    assert notes(node) == []
    # A pod that starts meanwhile works, too.
    node.sandbox("c")
    answers.append(node.add("c"))
    node_addresses(node, "add")
    expected = before | {
        address: "10.255.1.1" if "." in address else "fd00:255:1::1"
        for address in answers[2].addresses
    }
    becomes(lambda: host_routes(node), expected, "routes with their preferred source")
    for name, answer in zip("abc", answers, strict=True):
        for address in answer.addresses:
            first_packet_passes(node, name, address)
    assert link_indexes(node).items() >= links.items()


def test_an_address_that_is_away_for_a_moment(node: CniNode) -> None:
    """Both notifications come at once: the address looks as if nothing had been."""
    answer = node.add("a")
    before = host_routes(node)
    script = "; ".join(
        f"ip addr {action} {address} dev lo"
        for address in NODE_ADDRESSES
        for action in ("del", "add")
    )
    for _ in range(5):
        node.namespace.run(["sh", "-ec", script])
    becomes(lambda: host_routes(node), before, "routes with their preferred source")
    for address in answer.addresses:
        first_packet_passes(node, "a", address)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_starts_without_the_node_s_address(node: CniNode, signum: int) -> None:
    answer = node.add("a")
    before, links = host_routes(node), link_indexes(node)
    node.stop(signum)
    node_addresses(node, "del")
    # IPv6 keeps the route and forgets the source.
    assert notes(node) == [answer.addresses[0]]
    node.start()
    assert link_indexes(node) == links
    assert host_routes(node) == dict.fromkeys(before)
    assert notes(node) == []
    # The address has an owner.
    assert not set(node.add("b").addresses) & set(answer.addresses)
    node.stop(signum)
    node_addresses(node, "add")
    node.start()
    assert before.items() <= host_routes(node).items()
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    assert "unfinished link" not in node.log()
    node.delete("a")
    assert len(link_indexes(node)) == 1


def test_routes_and_neighbors_taken_while_no_server_looks(node: CniNode) -> None:
    answer = node.add("a", config={"runtimeConfig": {"mac": "02:00:00:00:00:77"}})
    (link,) = links = link_indexes(node)
    node.stop(signal.SIGKILL)
    node.namespace.run(["ip", "route", "flush", "proto", "73"])
    node.namespace.run(["ip", "-6", "route", "flush", "proto", "73"])
    node.namespace.run(["ip", "neigh", "flush", "nud", "permanent", "dev", link])
    assert sorted(notes(node)) == sorted(answer.addresses)
    node.start()
    assert link_indexes(node) == links
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    assert node.call("CHECK", "a", config={"prevResult": answer.body}).exit_code == 0


def test_what_the_kernel_refuses_is_tried_again(node: CniNode) -> None:
    """A foreign route has taken the place; that it leaves is not heard of."""
    answer = node.add("a")
    before = host_routes(node)
    destination = f"{answer.addresses[0]}/32"
    node.stop(signal.SIGKILL)
    node.namespace.run(["ip", "route", "replace", destination, "dev", "lo"])
    node.start()
    becomes(lambda: pods_of(node)["restore_failures"] > 1, True, "more than one attempt")
    assert notes(node) == [answer.addresses[0]]
    assert node.log().count("cannot restore") == 1
    node.add("b")
    node.namespace.run(["ip", "route", "del", destination, "dev", "lo"])
    becomes(lambda: before.items() <= host_routes(node).items(), True, "the route is back")
    assert notes(node) == []
    first_packet_passes(node, "a", answer.addresses[0])


def test_a_foreign_route_is_never_replaced(node: CniNode) -> None:
    """Correcting the source must not touch what somebody put before our route."""
    answer = node.add("a")
    node_addresses(node, "del")
    becomes(lambda: set(host_routes(node).values()), {None}, "routes without preferred source")
    destination = f"{answer.addresses[0]}/32"
    node.namespace.run(["ip", "route", "prepend", destination, "dev", "lo", "scope", "link"])
    node_addresses(node, "add")
    becomes(
        lambda: host_routes(node)[answer.addresses[1]],
        "fd00:255:1::1",
        "the other route with its preferred source",
    )
    listed = node.namespace.run(["ip", "route", "show", destination]).stdout
    assert "dev lo" in listed
    assert host_routes(node)[answer.addresses[0]] is None


def test_a_pod_starts_while_the_node_s_address_is_tentative(node: CniNode) -> None:
    """At boot, say: the kernel refuses a tentative address as preferred source."""
    run = node.namespace.run
    run(["ip", "addr", "del", "fd00:255:1::1/128", "dev", "lo"])
    run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"])
    for name, key in (("dad_transmits", 3), ("accept_dad", 1)):
        node.namespace.write_sysctl(f"net.ipv6.conf.up0.{name}", key)
    run(["ip", "link", "set", "up1", "up"])
    run(["ip", "link", "set", "up0", "up"])
    run(["ip", "addr", "add", "fd00:255:1::1/64", "dev", "up0"])
    answer = node.add("a")
    assert "tentative" in run(["ip", "-6", "addr", "show", "dev", "up0"]).stdout
    ipv4, ipv6 = answer.addresses
    assert host_routes(node) == {ipv4: "10.255.1.1", ipv6: None}

    def has_its_source() -> bool:
        if host_routes(node)[ipv6] != "fd00:255:1::1":
            raise NotYetError(host_routes(node))
        return True

    wait_until(has_its_source, deadline_s=15, what="the route prefers the node's address")
    for address in answer.addresses:
        first_packet_passes(node, "a", address)


def test_another_node_address_is_followed_at_once(node: CniNode) -> None:
    """Without an ADD and without waiting for the tick: host routes prefer the new one."""
    answer = node.add("a")
    run = node.namespace.run
    run(["ip", "addr", "add", "10.255.1.9/32", "dev", "lo"])
    node.facts(*CIDRS, node_addresses=("10.255.1.9", "fd00:255:1::1"))
    ipv4, ipv6 = answer.addresses
    becomes(
        lambda: host_routes(node),
        {ipv4: "10.255.1.9", ipv6: "fd00:255:1::1"},
        "the host route prefers the new address",
    )
    run(["ip", "addr", "del", "10.255.1.1/32", "dev", "lo"])
    run(["ping", "-c", "1", "-W", "1", ipv4])
