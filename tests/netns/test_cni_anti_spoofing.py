"""A pod sends from its own addresses only: what is dropped, what must pass, what survives what."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import CniNode, first_packet_passes
from tests.support.netns import Namespace, join
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")
OFF = {"antiSpoofing": False}
# Whose address the pod claims: another pod of the node, one elsewhere, the node, an outsider.
FOREIGN = (
    *("10.244.1.2", "10.244.2.9", "10.255.1.1", "198.51.100.10"),
    *("fd00:244:1::2", "fd00:244:2::9", "fd00:255:1::1", "2001:db8:51::10"),
)
NODE = {False: "10.255.1.1", True: "fd00:255:1::1"}
OUTSIDE = {False: "192.0.2.9", True: "fd00:9::9"}

COUNTING = """
table inet counting {{
    chain c {{
        type filter hook prerouting priority -300
        {} counter
    }}
}}
"""

# Sends one UDP datagram from a source address that need not be ours (IP_TRANSPARENT).
SENDER = """
import socket, sys
source, target = sys.argv[1:]
six = ":" in source
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6 if six else socket.SOL_IP, 75 if six else 19, 1)
s.bind((source, 4444))
s.sendto(b"x", (target, 5555))
"""


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        node.start()
        for name in ("a", "b"):
            node.sandbox(name)
        yield node


@pytest.fixture
def outside(node: CniNode, make_namespace: Callable[[str], Namespace]) -> Namespace:
    """A host behind the node that counts every UDP datagram to port 5555."""
    outside = make_namespace("outside")
    join(node.namespace, "up0", outside, "eth0")
    for namespace, device, last in ((node.namespace, "up0", 1), (outside, "eth0", 9)):
        namespace.run(["ip", "addr", "add", f"192.0.2.{last}/24", "dev", device])
        namespace.run(["ip", "addr", "add", f"fd00:9::{last}/64", "dev", device, "nodad"])
    for via in ("192.0.2.1", "fd00:9::1"):
        outside.run(["ip", "-6" if ":" in via else "-4", "route", "add", "default", "via", via])
    return outside


def count(namespace: Namespace) -> None:
    """Count UDP to port 5555 by source, before anything else of nftables sees it."""
    namespace.run(["nft", "-f", "-"], input=COUNTING.format("udp dport 5555"))


def counted(namespace: Namespace) -> int:
    listed = namespace.run(["nft", "-j", "list", "table", "inet", "counting"]).stdout
    found = [
        expression["counter"]["packets"]
        for entry in json.loads(listed)["nftables"]
        for expression in entry.get("rule", {}).get("expr", ())
        if "counter" in expression
    ]
    return int(found[0])


def send(node: CniNode, pod: str, source: str, target: str) -> None:
    node.in_pod(pod, "python3", "-c", SENDER, source, target)


def test_nothing_foreign_leaves_a_pod(node: CniNode, outside: Namespace) -> None:
    node.add("a")
    node.add("b")
    count(node.namespace)
    count(outside)
    for source in FOREIGN:
        for target in (NODE[":" in source], OUTSIDE[":" in source]):
            send(node, "a", source, target)
    assert (counted(node.namespace), counted(outside)) == (0, 0)
    for source in ("10.244.1.1", "fd00:244:1::1"):
        for target in (NODE[":" in source], OUTSIDE[":" in source]):
            send(node, "a", source, target)
    wait_until(lambda: counted(outside) == 2, deadline_s=5, what="what is the pod's own arrives")
    assert counted(node.namespace) == 4


def test_it_can_be_turned_off_for_a_network(node: CniNode, outside: Namespace) -> None:
    node.add("a", config=OFF)
    count(outside)
    send(node, "a", "198.51.100.10", OUTSIDE[False])
    wait_until(lambda: counted(outside) == 1, deadline_s=5, what="the datagram arrives")
    # A restarted server finds it so.
    node.stop(signal.SIGKILL)
    node.start()
    send(node, "a", "2001:db8:51::10", OUTSIDE[True])
    wait_until(lambda: counted(outside) == 2, deadline_s=5, what="the datagram arrives")


def test_no_limit_of_a_chained_bandwidth_plugin_is_a_way_around(
    node: CniNode, outside: Namespace
) -> None:
    link = node.add("a").body["interfaces"][0]["name"]
    # What the bandwidth plugin does to a link: redirected packets skip the ingress hooks.
    script = f"""
    ip link add ifb0 type ifb && ip link set ifb0 up
    tc qdisc add dev {link} handle ffff: ingress
    tc filter add dev {link} parent ffff: protocol all u32 match u32 0 0 \
        action mirred egress redirect dev ifb0
    tc qdisc add dev ifb0 root tbf rate 100mbit burst 100kb latency 25ms
    """
    node.namespace.run(["sh", "-ec", script])
    count(outside)
    send(node, "a", "198.51.100.10", OUTSIDE[False])
    send(node, "a", "10.244.1.1", OUTSIDE[False])
    wait_until(lambda: counted(outside) == 1, deadline_s=5, what="what is the pod's own arrives")


def test_neighbor_discovery_passes_and_advertisements_of_routers_do_not(node: CniNode) -> None:
    node.add("a")
    node.namespace.run(["nft", "-f", "-"], input=COUNTING.format("meta l4proto ipv6-icmp"))
    node.in_pod("a", "ip", "addr", "add", "fe80::5/64", "dev", "eth0", "nodad")
    sender = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.bind(("fe80::5", 0, 0, socket.if_nametoindex("eth0")))
for kind in map(int, sys.argv[1:]):
    s.sendto(bytes((kind, 0)) + bytes(22), ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
"""
    before = counted(node.namespace)
    node.in_pod("a", "python3", "-c", sender, "134", "137", "133")
    assert counted(node.namespace) == before
    node.in_pod("a", "python3", "-c", sender, "135", "136")
    wait_until(lambda: counted(node.namespace) == before + 2, deadline_s=5, what="NS and NA pass")


def elements(node: CniNode) -> int:
    """Count the elements of our table, none while it is not there."""
    argv = ["nft", "-j", "list", "table", "inet", "podroute"]
    listed = node.namespace.run(argv, check=False).stdout
    return sum(
        len(entry["set"].get("elem", ()))
        for entry in json.loads(listed or '{"nftables": []}')["nftables"]
        if "set" in entry
    )


def test_nothing_is_left_of_a_pod(node: CniNode) -> None:
    node.add("a")
    node.add("b", config=OFF)
    assert elements(node) == 3
    node.delete("a")
    assert elements(node) == 1
    node.namespace.run(["ip", "netns", "del", "b"])
    wait_until(lambda: elements(node) == 0, deadline_s=5, what="no element is left")


def test_a_restarted_server_asserts_it_again(node: CniNode, outside: Namespace) -> None:
    node.add("a")
    node.add("b")
    node.stop(signal.SIGKILL)
    node.namespace.run(["ip", "netns", "del", "b"])
    node.namespace.run(["nft", "delete", "table", "inet", "podroute"])
    node.start()
    assert elements(node) == 2
    count(outside)
    send(node, "a", "198.51.100.10", OUTSIDE[False])
    send(node, "a", "10.244.1.1", OUTSIDE[False])
    wait_until(lambda: counted(outside) == 1, deadline_s=5, what="what is the pod's own arrives")


def test_a_flushed_ruleset_is_put_back(node: CniNode) -> None:
    node.add("a")
    node.namespace.run(["nft", "flush", "ruleset"])
    wait_until(lambda: elements(node) == 2, deadline_s=10, what="the table is back")
    for address in node.add("b").addresses:
        first_packet_passes(node, "b", address)
    assert elements(node) == 4


def test_check_sees_what_is_missing(node: CniNode) -> None:
    result = node.add("a").body
    config = {"prevResult": result}
    assert node.call("CHECK", "a", config=config).exit_code == 0
    node.namespace.run(["nft", "flush", "set", "inet", "podroute", "sources6"])
    body = node.call("CHECK", "a", config=config).body
    assert (body["code"], "sources6" in body["msg"]) == (104, True)
