"""Links that somebody disturbs or forgets, and CHECK: the real server, shim and kernel."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import (
    ROOT,
    SERVER,
    CniNode,
    first_packet_passes,
    pods_of,
)
from tests.support.netns import Namespace
from tests.support.wait import NotYetError, wait_until

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


# Links that somebody disturbs


def restored(node: CniNode, expected: list[str]) -> None:
    def routes_are_back() -> bool:
        if node.pod_routes() != sorted(expected):
            raise NotYetError(node.pod_routes())
        return True

    wait_until(routes_are_back, deadline_s=10, what="the host routes are back")


def test_a_link_set_down_and_up_gets_its_routes_and_neighbors_back(node: CniNode) -> None:
    answer = node.add("a", config={"runtimeConfig": {"mac": "02:00:00:00:00:77"}})
    link = answer.body["interfaces"][0]["name"]
    source = node.namespace.run(["ip", "route", "show", "proto", "73"]).stdout
    node.namespace.run(["ip", "link", "set", link, "down"])
    assert node.pod_routes() == []
    node.namespace.run(["ip", "link", "set", link, "up"])
    restored(node, answer.addresses)
    assert node.namespace.run(["ip", "route", "show", "proto", "73"]).stdout == source
    wait_until(
        lambda: (
            node.namespace.run(["ip", "neigh", "show", "nud", "permanent"]).stdout.count(
                "02:00:00:00:00:77"
            )
            == 2
        ),
        deadline_s=10,
        what="both neighbors are back",
    )
    for address in answer.addresses:
        first_packet_passes(node, "a", address)
    assert pods_of(node)["restored"] == 4
    assert node.call("CHECK", "a", config={"prevResult": answer.body}).exit_code == 0


def test_a_host_route_and_a_neighbor_that_somebody_removed_come_back(node: CniNode) -> None:
    answer = node.add("a")
    node.add("b")
    link = answer.body["interfaces"][0]["name"]
    everything = node.pod_routes()
    for address in answer.addresses:
        node.namespace.run(["ip", "route", "del", f"{address}/{32 if '.' in address else 128}"])
        node.namespace.run(["ip", "neigh", "del", address, "dev", link])
    restored(node, everything)
    wait_until(lambda: pods_of(node)["restored"] == 4, deadline_s=10, what="all four are back")
    for address in answer.addresses:
        first_packet_passes(node, "a", address)


def test_adds_and_dels_of_ours_restore_nothing(node: CniNode) -> None:
    for _ in range(10):
        node.add("a")
        node.delete("a")
    node.add("a")
    node.namespace.run(["ip", "netns", "del", "a"])
    wait_until(lambda: node.links() == [], deadline_s=30, what="the kernel removes the link")
    assert pods_of(node)["restored"] == 0
    assert "cannot restore" not in node.log()


@pytest.mark.parametrize(
    ("where", "argv", "named"),
    [
        ("pod", ["ip", "link", "set", "eth0", "down"], "sandbox: eth0 is down"),
        ("pod", ["ip", "addr", "flush", "dev", "eth0"], "sandbox: add address 10.244.1.1"),
        ("pod", ["ip", "route", "del", "default"], "sandbox: add default route via 169.254.1.1"),
        (
            "pod",
            ["ip", "neigh", "del", "fe80::1", "dev", "eth0"],
            "sandbox: add neighbor fe80::1 at ee:ee:ee:ee:ee:ee",
        ),
        (
            "pod",
            ["ip", "link", "set", "eth0", "address", "02:00:00:00:00:01"],
            "host: add neighbor 10.244.1.1",
        ),
        ("host", ["ip", "link", "set", "{link}", "down"], "host: {link} is down"),
        (
            "host",
            [
                "ip",
                "neigh",
                "replace",
                "10.244.1.1",
                "lladdr",
                "02:00:00:00:00:09",
                "dev",
                "{link}",
            ],
            "host: add neighbor 10.244.1.1",
        ),
    ],
)
def test_check_names_what_is_missing(
    node: CniNode, where: str, argv: list[str], named: str
) -> None:
    result = node.add("a").body
    link = result["interfaces"][0]["name"]
    command = [word.format(link=link) for word in argv]
    if where == "pod":
        node.in_pod("a", *command)
    else:
        node.namespace.run(command)
    body = node.call("CHECK", "a", config={"prevResult": result}).body
    assert body["code"] == 104
    assert named.format(link=link) in body["msg"]


def test_check_tolerates_what_chained_plugins_add(node: CniNode) -> None:
    result = node.add("a").body
    node.in_pod("a", "ip", "addr", "add", "192.0.2.1/32", "dev", "eth0")
    route = "ip route add 192.0.2.0/24 via 169.254.1.1 dev eth0 onlink"
    node.in_pod("a", *route.split())
    assert node.call("CHECK", "a", config={"prevResult": result}).exit_code == 0


# Links whose runtime has forgotten them


def test_a_sandbox_without_a_file_in_the_runtime_s_directory(node: CniNode) -> None:
    """A DEL was lost with its runtime, and somebody keeps the sandbox alive."""
    node.stop()
    settings = "ServerSettings(sandbox_dir=Path('/run/netns'), sandbox_grace_s=1)"
    node.program = "from pathlib import Path\n" + SERVER.replace("ServerSettings()", settings)
    node.start()
    node.add("a")
    node.add("b")
    hold = ["ip", "netns", "exec", "a", "sh", "-c", "echo inside; exec sleep 60"]
    holder = node.namespace.popen(hold, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "inside\n"
        node.namespace.run(["ip", "netns", "del", "a"])
        assert len(node.links()) == 2
        wait_until(lambda: len(node.links()) == 1, deadline_s=30, what="the link is removed")
        assert "sandbox forgotten by the runtime" in node.log()
        assert [pod["container_id"] for pod in pods_of(node)["pods"]] == ["container-b"]
    finally:
        node.namespace.kill(holder)
        holder.communicate(timeout=10)


def test_uninstall_warns_of_pods_that_are_left(node: CniNode) -> None:
    node.add("a")
    script = (
        f"cd {ROOT} && mkdir -p /run/bin /run/net.d && touch /run/bin/podroute &&"
        ' exec "$0" -m router cni uninstall --bin-dir /run/bin --conf-dir /run/net.d'
    )
    done = node.namespace.run(["sh", "-c", script, sys.executable])
    assert done.stdout == "removed /run/bin/podroute\n"
    assert "1 pod links of podroute are still there" in done.stderr


def test_pods_are_shown_without_a_server(node: CniNode) -> None:
    node.add("a", CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0")
    with_server = pods_of(node)
    assert (with_server["pods"][0]["namespace"], with_server["pods"][0]["pod"]) == ("ns", "web-0")
    node.stop()
    # What a server alone has counted since its start nobody can read from the kernel, and whether
    # the kernel takes the filter only who makes it knows.
    counted = ("restored", "restore_failures", "swept", "calls", "lacking", "filter_problem")
    assert pods_of(node) == {**with_server, **dict.fromkeys(counted)}
    assert len(node.links()) == 1


def test_whoever_looks_without_a_server_changes_nothing(node: CniNode) -> None:
    node.add("a")
    node.stop()
    node.namespace.run(["nft", "delete", "table", "inet", "podroute"])
    assert len(pods_of(node)["pods"]) == 1
    assert node.namespace.run(["nft", "list", "tables"]).stdout == ""
    # The control: a server does make it, with what is there.
    node.start()
    listed = node.namespace.run(["nft", "list", "set", "inet", "podroute", "sources4"]).stdout
    assert "10.244.1." in listed
