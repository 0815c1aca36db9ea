"""Addresses by name, repairs, sweeps, leases: on a dataplane without a kernel."""

from __future__ import annotations

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cni.attachment.lease import LeaseKey
from cni.server.facts import FactsFile
from cni.server.forgotten import Forgotten
from cni.server.records import MemoryRecords
from cni.server.service import Service, Surroundings
from cni.wire import Door, Request
from tests.unit.test_cni_server_service import Caller, Runtime

RUN_NETNS = Path("/run/netns")


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Node(Runtime):
    """A runtime whose server has records and a clock of ours."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.surroundings = Surroundings(
            labels=MemoryRecords(), leases=MemoryRecords(), sandbox_dir=RUN_NETNS
        )
        super().__init__(directory)

    def restart(self) -> list[str]:
        self.service = Service(
            self.dataplane, FactsFile(self.facts_path), self.clock, self.surroundings
        )
        return [unfinished.reason for unfinished in self.service.rebuild()]

    def ipam(self, command: str, container: str, **config: Any) -> Caller:
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": "/nowhere",
            "CNI_IFNAME": "eth0",
        }
        body = {
            "cniVersion": "1.1.0",
            "name": "n",
            "type": "ptp",
            "ipam": {"type": "podroute-ipam"},
        } | config
        caller = Caller(0)
        request = Request(variables=variables, stdin=json.dumps(body).encode(), door=Door.IPAM)
        self.service.handle(request, caller)
        return caller

    def overview(self) -> Any:
        caller = Caller(None)
        self.service.handle(Request(variables={}, stdin=b"{}", door=Door.OPERATOR), caller)
        return caller.body


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def wish(*addresses: str) -> dict[str, Any]:
    return {"runtimeConfig": {"ips": list(addresses)}}


def test_an_add_waits_for_the_end_of_the_former_holder(node: Node) -> None:
    node.call("ADD", "old", **wish("10.244.1.5"))
    node.call("DEL", "old")
    waiting = node.call("ADD", "new", **wish("10.244.1.5"))
    assert waiting.waiting
    node.clock.now_s += 0.3
    node.settle()
    assert waiting.code == 0
    assert waiting.body["ips"][0]["address"] == "10.244.1.5/32"
    # Each is timed to its answer, also where that came later.
    counted = {(c["verb"], c["result"]): c for c in node.overview()["calls"]}
    assert {key: call["count"] for key, call in counted.items()} == {
        ("ADD", "ok"): 2,
        ("DEL", "ok"): 1,
    }
    assert counted["ADD", "ok"]["sum_s"] == pytest.approx(0.3)


def test_an_add_does_not_wait_for_a_holder_that_stays(node: Node) -> None:
    node.call("ADD", "old", **wish("10.244.1.5"))
    assert node.call("ADD", "new", **wish("10.244.1.5")).code == 105
    node.call("DEL", "old")
    waiting = node.call("ADD", "new", **wish("10.244.1.5"))
    node.dataplane.refuse_removal = "EBUSY"
    node.settle()
    assert waiting.code == 11


def test_of_two_who_wait_one_is_served(node: Node) -> None:
    node.call("ADD", "old", **wish("10.244.1.5"))
    node.call("DEL", "old")
    waiting = [node.call("ADD", name, **wish("10.244.1.5")) for name in ("x", "y")]
    node.settle()
    assert [caller.code for caller in waiting] == [0, 105]


def test_a_refused_wish_takes_nothing(node: Node) -> None:
    assert node.call("ADD", "a", **wish("10.244.1.5", "fd00:9::1")).code == 106
    assert node.call("ADD", "b", **wish("10.244.1.5")).code == 0
    assert node.overview()["pools"][0]["in_use"] == 1


def test_the_host_s_own_mac_is_refused(node: Node) -> None:
    assert node.call("ADD", runtimeConfig={"mac": "ee:ee:ee:ee:ee:ee"}).code == 7


def test_a_second_way_out_is_not_told_as_a_default_route(node: Node) -> None:
    node.dataplane.beside = frozenset({4})
    body = node.call("ADD").body
    assert [route["dst"] for route in body["routes"]] == ["::/0"]


def test_a_disturbed_link_is_restored_and_counted(node: Node) -> None:
    node.call("ADD")
    (index,) = node.dataplane.links
    node.dataplane.restorable = ("add host route 10.244.1.1",)
    node.dataplane.disturb(index)
    node.dataplane.disturb(index + 7)
    node.service.collect()
    (plan,) = node.dataplane.restored
    assert "host: add host route 10.244.1.1 src 10.255.1.1" in plan.describe()
    assert node.overview()["restored"] == 1
    node.call("DEL")
    node.dataplane.disturb(index)
    node.service.collect()
    assert len(node.dataplane.restored) == 1


def test_labels_live_as_long_as_the_link(node: Node) -> None:
    node.call("ADD")
    assert node.overview()["pods"][0]["netns"] == "/run/netns/a"
    assert (node.service.may_rest, node.surroundings.labels.each()) == (True, {})
    node.service.rest()
    assert not node.service.may_rest
    node.restart()
    assert node.overview()["pods"][0]["netns"] == "/run/netns/a"
    node.call("DEL")
    node.settle()
    assert node.surroundings.labels.each() == {}
    node.surroundings.labels.put("gone", b"{}")
    node.restart()
    assert node.surroundings.labels.each() == {}


class TestForgotten:
    def sweep(self, node: Node, seconds: float) -> None:
        node.clock.now_s += seconds
        node.service.sweep()
        node.settle()

    def test_a_link_without_a_file_for_a_minute_is_removed(self, node: Node) -> None:
        node.call("ADD")
        node.dataplane.absent = frozenset(node.dataplane.links)
        self.sweep(node, 0)
        self.sweep(node, 59)
        assert len(node.dataplane.links) == 1
        self.sweep(node, 1)
        assert node.dataplane.links == {}
        assert node.overview()["swept"] == 1
        assert node.call("ADD").code == 0

    def test_one_that_the_kernel_keeps_counts_once_when_it_is_gone(self, node: Node) -> None:
        node.call("ADD")
        node.dataplane.absent = frozenset(node.dataplane.links)
        node.dataplane.refuse_removal = "EBUSY"
        for seconds in (0, 60, 0, 60):
            self.sweep(node, seconds)
        assert node.overview()["swept"] == 0
        node.dataplane.refuse_removal = None
        for seconds in (0, 60):
            self.sweep(node, seconds)
        assert node.dataplane.links == {}
        assert node.overview()["swept"] == 1

    def test_the_minute_begins_anew_when_the_file_is_seen_or_nothing_is_known(
        self, node: Node
    ) -> None:
        node.call("ADD")
        for between in (frozenset[int](), None):
            node.dataplane.absent = frozenset(node.dataplane.links)
            self.sweep(node, 50)
            node.dataplane.absent = between
            self.sweep(node, 20)
        assert len(node.dataplane.links) == 1

    def test_each_is_told_once(self, node: Node) -> None:
        node.dataplane.absent = frozenset({4, 5})
        forgotten = Forgotten(RUN_NETNS, node.dataplane, node.clock, grace_s=10)
        assert forgotten.take() == ()
        node.clock.now_s += 10
        assert forgotten.take() == (4, 5)
        assert forgotten.take() == ()


class TestLeases:
    def test_a_lease_outlives_the_server(self, node: Node) -> None:
        first = node.ipam("ADD", "a").body
        assert [ip["address"] for ip in first["ips"]] == ["10.244.1.1/29", "fd00:244:1::1/64"]
        node.restart()
        assert node.ipam("ADD", "a").code == 100
        second = node.ipam("ADD", "b").body
        assert [ip["gateway"] for ip in second["ips"]] == [ip["gateway"] for ip in first["ips"]]
        assert node.ipam("DEL", "a").code == 0
        assert node.ipam("DEL", "a").code == 0
        kinds = sorted(pod["kind"] for pod in node.overview()["pods"])
        assert kinds == ["gateway", "gateway", "lease"]

    def test_a_lease_whose_address_a_pod_link_has_is_dropped(self, node: Node) -> None:
        node.ipam("ADD", "a")
        leases = dict(node.surroundings.leases.each())
        node.ipam("DEL", "a")
        for name in node.surroundings.leases.each():
            node.surroundings.leases.drop(name)
        node.restart()
        node.call("ADD", "pod", **wish("10.244.1.1", "fd00:244:1::1"))
        for name, content in leases.items():
            node.surroundings.leases.put(name, content)
        node.surroundings.leases.put("rubbish", b"x")
        node.restart()
        pods = node.overview()["pods"]
        assert [pod["kind"] for pod in pods if "10.244.1.1" in pod["addresses"]] == ["pod link"]
        assert "rubbish" not in node.surroundings.leases.each()

    def test_an_add_that_cannot_be_kept_takes_nothing(self, node: Node) -> None:
        class Full(MemoryRecords):
            def put(self, name: str, content: bytes) -> None:
                raise OSError(28, "no space left on device")

        node.surroundings = Surroundings(leases=Full())
        node.restart()
        assert node.ipam("ADD", "a").code == 5
        assert all(pool["in_use"] == 0 for pool in node.overview()["pools"])

    def test_an_answer_nobody_takes_undoes_the_lease(self, node: Node) -> None:
        caller = Caller(0)
        caller.left = True
        body = {"cniVersion": "1.0.0", "name": "n", "ipam": {"type": "podroute-ipam"}}
        variables = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": "a",
            "CNI_NETNS": "/nowhere",
            "CNI_IFNAME": "eth0",
        }
        stdin = json.dumps(body).encode()
        node.service.handle(Request(variables=variables, stdin=stdin, door=Door.IPAM), caller)
        assert [pod["kind"] for pod in node.overview()["pods"]] == ["gateway", "gateway"]

    def test_a_gateway_by_name_replaces_the_one_that_was_chosen(self, node: Node) -> None:
        node.ipam("ADD", "a")
        ipam = {"type": "podroute-ipam", "gateways": ["10.244.1.6"]}
        assert node.ipam("ADD", "b", ipam=ipam).body["ips"][0]["gateway"] == "10.244.1.6"
        assert node.ipam("ADD", "c", ipam=ipam).body["ips"][0]["gateway"] == "10.244.1.6"
        taken = {"type": "podroute-ipam", "gateways": ["10.244.1.1"]}
        assert node.ipam("ADD", "d", ipam=taken).code == 105
        strange = {"type": "podroute-ipam", "gateways": ["192.0.2.1"]}
        assert node.ipam("ADD", "e", ipam=strange).code == 106
        held = LeaseKey(network="n", container_id="d", ifname="eth0")
        assert held.container_id not in {pod["container_id"] for pod in node.overview()["pods"]}


def test_orphans_are_shown(node: Node) -> None:
    node.call("ADD")
    node.write_facts("10.9.0.0/24", generation=2)
    node.service.refresh()
    (pod,) = node.overview()["pods"]
    assert pod["orphaned"] == pod["addresses"]
    assert ip_address(pod["orphaned"][0]).version == 4
