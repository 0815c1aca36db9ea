"""What an operator sets of a pod link, and how unused addresses of a pod CIDR answer."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import CniNode, first_packet_passes
from tests.support.netns import Namespace, join

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS, mtu=9000)
        node.start()
        node.sandbox("a")
        yield node


def host_links(node: CniNode) -> list[dict[str, Any]]:
    argv = ["ip", "-d", "-j", "link", "show", "type", "veth"]
    links: list[dict[str, Any]] = json.loads(node.namespace.run(argv).stdout)
    return links


def test_queues_and_prefix(node: CniNode) -> None:
    config = {"queues": 4, "hostInterfacePrefix": "cal"}
    answer = node.add("a", config=config)
    (link,) = host_links(node)
    assert link["ifname"].startswith("cal")
    assert len(link["ifname"]) == 15
    assert (link["num_tx_queues"], link["num_rx_queues"]) == (4, 4)
    assert "numtxqueues 4" in node.in_pod("a", "ip", "-d", "link", "show", "eth0")
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    # The prefix may have changed since: what is there counts.
    for setting in (config, {}):
        checked = node.call("CHECK", "a", config={**setting, "prevResult": answer.body})
        assert checked.exit_code == 0, checked.stdout
    node.stop()
    node.start()
    node.delete("a")
    assert host_links(node) == []


def test_one_queue_and_the_nodes_mtu_by_default(node: CniNode) -> None:
    answer = node.add("a", config={"cniVersion": "1.1.0"})
    assert [each["mtu"] for each in answer.body["interfaces"]] == [9000, 9000]
    (link,) = host_links(node)
    assert (link["mtu"], link["num_tx_queues"]) == (9000, 1)
    assert "mtu 9000" in node.in_pod("a", "ip", "link", "show", "eth0")


@pytest.mark.parametrize("target", ["10.244.1.77", "fd00:244:1::77"])
def test_an_unused_address_answers_at_once(
    node: CniNode, make_namespace: Callable[[str], Namespace], target: str
) -> None:
    node.add("a")
    # As the route agent does (router.kernel.fib).
    for cidr in CIDRS:
        route = ["unreachable", cidr, "proto", "75", "metric", "4278198272"]
        node.namespace.run(["ip", "-6" if ":" in cidr else "-4", "route", "add", *route])
    outside = make_namespace("outside")
    join(node.namespace, "up0", outside, "eth0")
    for namespace, device, last in ((node.namespace, "up0", 1), (outside, "eth0", 9)):
        namespace.run(["ip", "addr", "add", f"192.0.2.{last}/24", "dev", device])
        namespace.run(["ip", "addr", "add", f"fd00:9::{last}/64", "dev", device, "nodad"])
    # A router that sends the whole CIDR here, and a node that would send it back.
    for via, other in (("192.0.2.1", "192.0.2.9"), ("fd00:9::1", "fd00:9::9")):
        family = "-6" if ":" in via else "-4"
        outside.run(["ip", family, "route", "add", "default", "via", via])
        node.namespace.run(["ip", family, "route", "add", "default", "via", other])
    ping = ["ping", "-c", "1", "-W", "5", target]
    for run in (
        lambda: outside.run(ping, check=False).stdout,
        lambda: node.in_pod("a", *ping, check=False),
    ):
        began_s = time.monotonic()
        shown = run()
        assert time.monotonic() - began_s < 4
        assert "nreachable" in shown, shown
        assert "exceeded" not in shown
