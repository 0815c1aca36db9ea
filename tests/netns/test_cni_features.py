"""Addresses by name, second links, configuration: the real server, shim and kernel."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import ROOT, CniNode, first_packet_passes
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        node.start()
        node.sandbox("a")
        node.sandbox("b")
        yield node


def pods_of(node: CniNode) -> Any:
    """Return what `podroute pods` shows."""
    argv = ["sh", "-c", f'cd {ROOT} && exec "$0" -m router pods -o json', sys.executable]
    return json.loads(node.namespace.run(argv).stdout)


# Addresses


def test_an_address_and_a_mac_by_name(node: CniNode) -> None:
    wish = {"ips": ["10.244.1.77/24"], "mac": "02:00:00:00:00:77"}
    answer = node.add("a", config={"runtimeConfig": wish})
    assert answer.addresses == ["10.244.1.77", "fd00:244:1::1"]
    assert answer.body["interfaces"][1]["mac"] == "02:00:00:00:00:77"
    assert "02:00:00:00:00:77" in node.in_pod("a", "ip", "link", "show", "eth0")
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    checked = node.call("CHECK", "a", config={"prevResult": answer.body})
    assert checked.exit_code == 0, checked.stdout
    # podman's way.
    arguments = "IgnoreUnknown=1;K8S_POD_NAME=b;IP=10.244.1.78;MAC=02:00:00:00:00:78"
    assert node.add("b", CNI_ARGS=arguments).addresses[0] == "10.244.1.78"


def test_an_address_in_use_or_not_usable_is_told(node: CniNode) -> None:
    node.add("a", CNI_ARGS="IP=10.244.1.77")
    body = node.call("ADD", "b", CNI_ARGS="IP=10.244.1.77").body
    assert (body["code"], "10.244.1.77 belongs to container-a" in body["msg"]) == (105, True)
    for address in ("10.245.0.1", "10.244.1.0", "10.244.1.255", "fd00:999::1"):
        body = node.call("ADD", "b", CNI_ARGS=f"IP={address}").body
        assert (body["code"], address in body["msg"]) == (106, True)
    node.delete("a")
    # No rest for an address asked for by name.
    assert node.add("b", CNI_ARGS="IP=10.244.1.77").addresses[0] == "10.244.1.77"


def test_a_static_pod_made_anew_while_the_old_one_ends(node: CniNode) -> None:
    """DEL of the old and ADD of the new one at once: an ADD that comes second waits."""
    order = ["a", "b"] * 5
    wish = {"CNI_ARGS": "IP=10.244.1.77"}
    node.add(order[0], **wish)
    for previous, following in itertools.pairwise(order):
        with ThreadPoolExecutor(2) as pool:
            deletion = pool.submit(node.delete, previous)
            answer = node.call("ADD", following, **wish)
            deletion.result()
        if answer.exit_code:
            # It came first: then, and only then, it is refused.
            assert answer.body["code"] == 105
            answer = node.add(following, **wish)
        assert answer.addresses[0] == "10.244.1.77"


def test_reserved_addresses_and_exhaustion(node: CniNode) -> None:
    node.facts("10.244.1.0/29")
    config = {"reserved": ["10.244.1.1-10.244.1.4", "10.244.1.5"]}
    assert node.add("a", config=config).addresses == ["10.244.1.6"]
    body = node.call("ADD", "b", config=config).body
    assert body["code"] == 102
    assert "pool 10.244.1.0/29: 1 of 1 usable addresses in use, 5 reserved" in body["msg"]
    status = node.call("STATUS", "", config={**config, "cniVersion": "1.1.0"}).body
    assert (status["code"], "5 reserved" in status["msg"]) == (50, True)
    assert node.add("b", config=config, CNI_ARGS="IP=10.244.1.3").addresses == ["10.244.1.3"]


def test_a_cidr_taken_from_the_node(node: CniNode) -> None:
    kept = node.add("a").addresses[0]
    node.facts("10.244.9.0/24", "10.244.10.0/24")
    assert node.add("b").addresses == ["10.244.9.1"]
    first_packet_passes(node, "a", kept)
    body = node.call("ADD", "c", CNI_ARGS="IP=10.244.1.9", CNI_NETNS="/run/netns/b").body
    assert body["code"] == 106
    pods = {pod["container_id"]: pod for pod in pods_of(node)["pods"]}
    assert pods["container-a"]["orphaned"] == ["10.244.1.1", "fd00:244:1::1"]
    assert pods["container-b"]["orphaned"] == []
    node.stop()
    node.start()
    assert pods_of(node)["pods"] == list(pods.values())
    node.delete("a")


def test_several_cidrs_per_family_are_one_pool(node: CniNode) -> None:
    node.facts("10.244.1.0/30", "10.244.9.0/31", "fd00:244:1::/127", "fd00:244:9::/126")
    for name in ("c", "d", "e"):
        node.sandbox(name)
    given = [node.add(name).addresses for name in "abcd"]
    assert {pair[0] for pair in given} == {"10.244.1.1", "10.244.1.2", "10.244.9.0", "10.244.9.1"}
    for name, pair in zip("abcd", given, strict=True):
        for address in pair:
            first_packet_passes(node, name, address)
    body = node.call("ADD", "e").body
    assert body["code"] == 102
    assert "pool 10.244.1.0/30, 10.244.9.0/31: 4 of 4 usable addresses in use" in body["msg"]
    # What was taken of the other family before that is given back.
    assert sorted(pool["in_use"] for pool in pods_of(node)["pools"]) == [4, 4]


# Second links


def routes_in(node: CniNode, sandbox: str) -> str:
    return node.in_pod(sandbox, "ip", "route") + node.in_pod(sandbox, "ip", "-6", "route")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"CNI_IFNAME": "net1"}, id="same network"),
        pytest.param({"CNI_IFNAME": "net1", "config": {"name": "second"}}, id="another network"),
    ],
)
def test_a_second_link_in_one_pod(node: CniNode, other: dict[str, Any]) -> None:
    first = node.add("a")
    before = routes_in(node, "a")
    second = node.add("a", **other)
    assert routes_in(node, "a") == before
    assert second.body["routes"] == []
    for answer in (first, second):
        for address in answer.addresses:
            first_packet_passes(node, "a", address)
            source = "10.255.1.1" if "." in address else "fd00:255:1::1"
            node.in_pod("a", "ping", "-c", "1", "-W", "1", "-I", address, source)
    # What comes in by a link is answered by the same one.
    counters = "cat /sys/class/net/net1/statistics/tx_packets"
    sent = int(node.in_pod("a", "sh", "-c", counters))
    node.namespace.run(["ping", "-c", "1", "-W", "1", second.addresses[0]])
    assert int(node.in_pod("a", "sh", "-c", counters)) == sent + 1
    config = {**other.get("config", {}), "prevResult": second.body}
    assert node.call("CHECK", "a", CNI_IFNAME="net1", config=config).exit_code == 0
    node.in_pod("a", "ip", "rule", "del", "from", second.addresses[0])
    assert node.call("CHECK", "a", CNI_IFNAME="net1", config=config).body["code"] == 104
    for _ in range(3):
        node.delete("a", **other)
        second = node.add("a", **other)
        rules = node.in_pod("a", "ip", "rule").count("lookup 1")
        assert rules == 1, node.in_pod("a", "ip", "rule")
    node.delete("a", **other)
    for address in first.addresses:
        first_packet_passes(node, "a", address)


def test_a_rule_that_outlived_its_link_and_comes_again(node: CniNode) -> None:
    """A new server counts indexes from the links there are: a table's number may come again."""
    wish = {"CNI_IFNAME": "net1", "CNI_ARGS": "IP=10.244.1.77,fd00:244:1::77"}
    first = node.add("a")
    node.add("a", **wish)
    before = node.in_pod("a", "ip", "rule")
    node.delete("a", **wish)
    assert node.in_pod("a", "ip", "rule") == before
    node.stop()
    node.start()
    second = node.add("a", **wish)
    assert node.in_pod("a", "ip", "rule") == before
    for answer in (first, second):
        for address in answer.addresses:
            first_packet_passes(node, "a", address)
    checked = node.call("CHECK", "a", CNI_IFNAME="net1", config={"prevResult": second.body})
    assert checked.exit_code == 0, checked.stdout


# Configuration


def test_an_error_in_the_operator_s_keys_never_keeps_a_del_from_its_work(node: CniNode) -> None:
    node.add("a")
    wrong = {"mtu": 7, "reserve": [], "antiSpoofing": "x"}
    body = node.call("ADD", "b", config=wrong).body
    assert body["code"] == 7
    for part in ("mtu: 7 is not within", "did you mean reserved?", "antiSpoofing"):
        assert part in body["msg"]
    node.delete("a", config=wrong)
    assert node.links() == []


def test_capabilities(node: CniNode) -> None:
    runtime = {"dns": {"Servers": ["10.96.0.10"], "Searches": ["svc"]}, "portMappings": []}
    result = node.add("a", config={"runtimeConfig": runtime}).body
    assert result["dns"] == {"nameservers": ["10.96.0.10"], "search": ["svc"]}
    mapped = {"portMappings": [{"HostPort": 80, "ContainerPort": 80, "Protocol": "tcp"}]}
    body = node.call("ADD", "b", config={"runtimeConfig": mapped}).body
    assert (body["code"], "portmap plugin" in body["msg"]) == (2, True)
