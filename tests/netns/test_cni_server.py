"""The real server and the real shim on the real kernel: called as a runtime calls them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import CniNode, first_packet_passes
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")


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
    result = json.loads(answer.stdout)
    checked = node.call("CHECK", "a", config={"prevResult": result})
    assert (checked.exit_code, checked.stdout) == (0, "")


def test_two_pods_reach_each_other_with_the_first_packet(node: CniNode) -> None:
    node.start()
    for name in ("a", "b"):
        node.sandbox(name)
    node.add("a")
    for address in node.add("b").addresses:
        node.in_pod("a", "ping", "-c", "1", "-W", "1", address)


def test_the_first_packet_passes_every_time(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    for _ in range(20):
        for address in node.add("a").addresses:
            first_packet_passes(node, "a", address)
        node.delete("a")


def test_del_leaves_nothing_when_it_returns(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.add("a")
    assert node.pod_routes() == ["10.244.1.1", "fd00:244:1::1"]
    node.delete("a")
    assert node.links() == []
    assert node.pod_routes() == []
    assert "eth0" not in node.in_pod("a", "ip", "link")
    assert node.namespace.run(["ip", "neigh", "show", "nud", "permanent"]).stdout == ""


@pytest.mark.parametrize("netns", ["", None, "/run/netns/never"])
def test_del_succeeds_for_whatever_does_not_exist(node: CniNode, netns: str | None) -> None:
    node.start()
    node.sandbox("a")
    node.add("a")
    for _ in range(2):
        node.delete("a", CNI_NETNS=netns)
    node.delete("unknown", CNI_NETNS=netns)
    assert node.links() == []


def test_a_sandbox_that_ended_frees_its_addresses(node: CniNode) -> None:
    node.facts("10.244.1.0/30")
    node.start()
    for name in ("a", "b", "c"):
        node.sandbox(name)
    for name in ("a", "b"):
        node.add(name)
    assert node.call("ADD", "c").body["code"] == 102
    node.namespace.run(["ip", "netns", "del", "a"])
    wait_until(lambda: len(node.links()) == 1, deadline_s=5, what="the kernel removes the link")
    assert node.add("c").addresses == ["10.244.1.1"]
    node.delete("a", CNI_NETNS="")


def test_twenty_adds_and_dels_at_once(node: CniNode) -> None:
    node.start()
    names = [f"p{number}" for number in range(20)]
    for name in names:
        node.sandbox(name)
    with ThreadPoolExecutor(20) as pool:
        answers = dict(zip(names, pool.map(node.add, names), strict=True))
    given = {address for answer in answers.values() for address in answer.addresses}
    assert len(given) == 40
    assert len(node.links()) == 20
    for name in names[::5]:
        for address in answers[name].addresses:
            first_packet_passes(node, name, address)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(node.delete, names))
    assert node.links() == []
    assert node.pod_routes() == []


def test_ipv6_disabled_in_the_sandbox_is_enabled_for_the_pod(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    disable = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"
    node.in_pod("a", "sh", "-c", disable)
    for address in node.add("a").addresses:
        first_packet_passes(node, "a", address)


@pytest.mark.parametrize("cidr", CIDRS)
def test_one_family_alone(node: CniNode, cidr: str) -> None:
    node.facts(cidr, node_addresses=("10.255.1.1",))
    node.start()
    node.sandbox("a")
    (address,) = node.add("a").addresses
    first_packet_passes(node, "a", address)


# What goes wrong


def test_an_add_that_fails_leaves_nothing(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.in_pod("a", "ip", "link", "add", "eth0", "type", "bridge")
    body = node.call("ADD", "a").body
    assert (body["code"], body["details"]) == (101, "the sandbox has eth0")
    # The kernel has a route to the address already: the last operation of the plan fails.
    foreign = ["ip", "route", "add", "10.244.1.2/32", "dev", "lo"]
    node.namespace.run(foreign)
    node.sandbox("b")
    body = node.call("ADD", "b").body
    assert body["code"] == 103
    assert "add host route 10.244.1.2" in body["msg"]
    assert "EEXIST" in body["msg"]
    assert node.links() == []
    assert node.pod_routes() == []
    assert "eth0" not in node.in_pod("b", "ip", "link")
    assert "10.244.1.2 dev lo" in node.namespace.run(["ip", "route"]).stdout
    node.add("b")


def test_another_link_of_our_name_is_left_alone(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    name = node.add("a").body["interfaces"][0]["name"]
    node.delete("a")
    node.namespace.run(["ip", "link", "add", name, "type", "bridge"])
    body = node.call("ADD", "a").body
    assert (body["code"], name in body["msg"]) == (103, True)
    assert name in node.namespace.run(["ip", "link", "show", "type", "bridge"]).stdout
    assert node.pod_routes() == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        pytest.param("/run/netns/never", 4, id="does not exist"),
        pytest.param("/etc/hostname", 4, id="a file"),
        pytest.param("/run/fifo", 4, id="a fifo"),
        pytest.param("/proc/1/ns/mnt", 4, id="another kind of namespace"),
        pytest.param("/proc/self/ns/net", 8, id="the node's own"),
    ],
)
def test_what_is_no_sandbox_is_refused(node: CniNode, path: str, code: int) -> None:
    node.start()
    node.namespace.run(["mkfifo", "/run/fifo"])
    assert node.call("ADD", "a", CNI_NETNS=path).body["code"] == code
    assert node.links() == []


@pytest.mark.parametrize(
    ("config", "changes", "code", "named"),
    [
        pytest.param("", {}, 6, "not JSON", id="empty"),
        pytest.param("{", {}, 6, "not JSON", id="truncated"),
        pytest.param("[]", {}, 6, "not a JSON object", id="no object"),
        pytest.param({"cniVersion": "0.2.0"}, {}, 1, "0.2.0", id="old version"),
        pytest.param({"cniVersion": "9.9.9"}, {}, 1, "9.9.9", id="new version"),
        pytest.param({"name": ""}, {}, 7, "name", id="no name"),
        pytest.param({"ipam": {"type": "host-local"}}, {}, 7, "ipam.type", id="foreign ipam"),
        pytest.param({}, {"CNI_COMMAND": None}, 4, "CNI_COMMAND", id="no command"),
        pytest.param({}, {"CNI_COMMAND": "FLY"}, 4, "CNI_COMMAND", id="unknown command"),
        pytest.param(
            {},
            {"CNI_CONTAINERID": None, "CNI_IFNAME": None, "CNI_NETNS": None},
            4,
            "CNI_CONTAINERID is missing; CNI_NETNS is missing; CNI_IFNAME is missing",
            id="several variables",
        ),
        pytest.param({}, {"CNI_IFNAME": "a/b"}, 4, "CNI_IFNAME", id="bad ifname"),
    ],
)
def test_a_bad_call_is_one_error_object(
    node: CniNode, config: Any, changes: dict[str, str | None], code: int, named: str
) -> None:
    node.start()
    answer = node.call("ADD", "a", config=config, **changes)
    assert answer.exit_code == 1
    assert answer.stderr == ""
    assert answer.body["code"] == code
    assert named in answer.body["msg"]
    if isinstance(config, dict):
        assert answer.body["cniVersion"] == config.get("cniVersion", "1.0.0")
    assert node.links() == []


def test_too_much_standard_input_is_refused(node: CniNode) -> None:
    node.start()
    body = node.call("ADD", "a", config='{"cniVersion":"1.0.0","x":"' + "y" * (5 << 20)).body
    assert (body["code"], body["cniVersion"]) == (6, "1.0.0")


def test_the_memory_of_the_server_stays_small(node: CniNode) -> None:
    node.start()
    status = Path(f"/proc/{node.server_pid}/status").read_text(encoding="ascii")
    (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident) < 48 * 1024
