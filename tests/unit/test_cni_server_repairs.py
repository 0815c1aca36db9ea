"""Which links are put right, and when: on a dataplane without a kernel."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from cni.server.dataplane import ObservedLink
from cni.server.facts import FactsFile
from cni.server.repairs import RETRY_S
from cni.server.service import Service
from cni.wire import Door, Request
from tests.unit.test_cni_server_service import Caller, Runtime


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Node(Runtime):
    """A runtime whose server has a clock of ours."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        super().__init__(directory)

    def restart(self) -> list[str]:
        self.service = Service(self.dataplane, FactsFile(self.facts_path), self.clock)
        return [unfinished.reason for unfinished in self.service.rebuild()]

    def repaired(self) -> int:
        """Let the server repair what is due; return how many links it tried."""
        before = len(self.dataplane.restored)
        self.service.collect()
        return len(self.dataplane.restored) - before

    def take_routes(self, index: int) -> None:
        link = self.dataplane.links[index]
        self.dataplane.links[index] = ObservedLink(
            index=index, name=link.name, alias=link.alias, condemned=False, routes=frozenset()
        )

    def overview(self) -> dict[str, object]:
        caller = Caller(None)
        self.service.handle(Request(variables={}, stdin=b"{}", door=Door.OPERATOR), caller)
        body: dict[str, object] = caller.body
        return body


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = Node(tmp_path)
    for container in "abc":
        node.call("ADD", container)
    return node


def sources(node: Node) -> set[str]:
    """Return the IPv4 sources of what was last restored."""
    steps = (step for plan in node.dataplane.restored[-3:] for step in plan.describe())
    return {step.partition(" src ")[2] for step in steps if "host route 10." in step}


def test_a_living_pod_without_host_routes_is_kept_by_a_restart(node: Node) -> None:
    for index in tuple(node.dataplane.links):
        node.take_routes(index)
    assert node.restart() == []
    assert len(node.dataplane.restored) == 3
    assert node.call("ADD", "a").code == 100
    assert node.call("ADD", "d").body["ips"][0]["address"] == "10.244.1.4/32"


def test_of_two_with_one_address_the_one_that_is_reached_has_it(node: Node) -> None:
    first, second, _ = node.dataplane.links
    node.take_routes(first)
    links = node.dataplane.links
    alias = links[first].alias.replace(" a ", " b2 ")
    links[first], links[second] = (
        ObservedLink(index=first, name="podold", alias=alias, condemned=False, routes=frozenset()),
        ObservedLink(
            index=second,
            name="podnew",
            alias=links[first].alias,
            condemned=False,
            routes=frozenset({ip_address("10.244.1.1"), ip_address("fd00:244:1::1")}),
        ),
    )
    (reason,) = node.restart()
    assert reason.startswith("10.244.1.1 belongs to")
    assert node.call("ADD", "a").code == 100


def test_what_is_refused_is_tried_again_until_it_is_accepted(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, _ = node.dataplane.links
    node.dataplane.refuse_restore = "EEXIST"
    node.dataplane.disturb(first)
    assert node.repaired() == 1
    assert node.service.repair_in_s == pytest.approx(RETRY_S)
    assert node.repaired() == 0
    for _ in range(3):
        node.clock.now_s += RETRY_S
        assert node.service.repair_in_s == 0
        assert node.repaired() == 1
    # Another's trouble does not end the first one's.
    node.dataplane.disturb(second)
    assert node.repaired() == 1
    assert [record.message for record in caplog.records].count("cannot restore, trying again") == 2
    assert node.overview()["restore_failures"] == 5
    node.clock.now_s += RETRY_S
    node.dataplane.refuse_restore = ""
    node.dataplane.restorable = ("add host route",)
    assert node.repaired() == 2
    assert node.service.repair_in_s is None
    assert node.overview()["restored"] == 2


def test_nobody_tries_for_a_link_that_is_being_removed(node: Node) -> None:
    first, *_ = node.dataplane.links
    node.dataplane.refuse_restore = "EEXIST"
    node.dataplane.disturb(first)
    assert node.repaired() == 1
    node.call("DEL", "a")
    node.clock.now_s += RETRY_S
    assert node.repaired() == 0
    assert node.service.repair_in_s is None


def test_a_node_address_that_leaves_and_returns(node: Node) -> None:
    node.dataplane.change_addresses("10.255.1.1", local=())
    assert node.repaired() == 3
    assert sources(node) == {""}
    # Also when it is there again before anybody looks.
    node.dataplane.change_addresses("10.255.1.1", local=())
    node.dataplane.change_addresses("10.255.1.1", local=("10.255.1.1",))
    assert node.repaired() == 3
    assert sources(node) == {"10.255.1.1"}
    node.dataplane.change_addresses("192.0.2.1", local=("10.255.1.1", "192.0.2.1"))
    assert node.repaired() == 0


def test_notifications_that_were_lost(node: Node) -> None:
    node.dataplane.change_addresses(local=())
    assert node.repaired() == 3
    assert sources(node) == {""}


def test_a_source_that_an_add_finds_is_given_to_all(node: Node) -> None:
    node.dataplane.local = node.dataplane.local | {ip_address("fd00:255:1::1")}
    assert node.repaired() == 0
    node.call("ADD", "d")
    assert node.service.repair_in_s == 0
    assert node.repaired() == 4


def test_a_source_that_is_refused_is_tried_by_the_sweep(node: Node) -> None:
    first, *_ = node.dataplane.links
    node.dataplane.sourceless = frozenset({first})
    node.dataplane.disturb(first)
    assert node.repaired() == 1
    # The pod is reached: no hurry.
    assert node.service.repair_in_s is None
    node.dataplane.sourceless = frozenset()
    for expected in (1, 0):
        node.service.sweep()
        assert node.repaired() == expected


def test_the_overview_names_missing_host_routes(node: Node) -> None:
    first, *_ = node.dataplane.links
    node.take_routes(first)
    pods = node.overview()["pods"]
    assert isinstance(pods, list)
    assert [pod["no_host_route"] for pod in pods] == [["10.244.1.1", "fd00:244:1::1"], [], []]
    node.dataplane.routes_known = False
    pods = node.overview()["pods"]
    assert isinstance(pods, list)
    assert [pod["no_host_route"] for pod in pods] == [[], [], []]
