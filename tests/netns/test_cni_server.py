"""The real server and the real shim on the real kernel: called as a runtime calls them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import CniNode, build_shim, first_packet_passes
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        yield node


def test_add_gives_a_working_dual_stack_link(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    answer = node.add("a")
    assert answer.addresses == ["10.244.1.1", "fd00:244:1::1"]
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    host, pod = answer.body["interfaces"]
    assert host["name"].startswith("pod")
    assert pod["name"] == "eth0"
    assert pod["sandbox"] == "/run/netns/a"
    assert pod["mac"] in node.in_pod("a", "ip", "link", "show", "eth0")


def test_two_pods_reach_each_other_with_the_first_packet(node: CniNode) -> None:
    node.start()
    for name in ("a", "b"):
        node.sandbox(name)
    node.add("a")
    for address in node.add("b").addresses:
        node.in_pod("a", "ping", "-c", "1", "-W", "1", address)


def test_del_leaves_nothing_when_it_returns(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.add("a")
    assert node.pod_routes() == ["10.244.1.1", "fd00:244:1::1"]
    node.delete("a")
    assert node.links() == []
    assert node.pod_routes() == []
    assert "eth0" not in node.in_pod("a", "ip", "link")
    node.delete("a")  # twice
    assert json.loads(node.namespace.run(["ip", "-j", "neigh", "show", "nud", "all"]).stdout) == []
