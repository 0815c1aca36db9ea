"""Reboots, lost DELs, sandboxes that outlive their pod, racing servers: nothing lost or doubled."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import (
    RUN_DIR,
    CniNode,
    begin,
    end,
    first_packet_passes,
)
from tests.support.netns import Namespace, inner_pid
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")
LONG = {"CNI_CONTAINERID": "c" * 300}
LONG_NETWORK = {"name": "n" * 300}


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        yield node


def spool_is_empty(node: CniNode) -> None:
    wait_until(lambda: not node.spooled(), deadline_s=12, what="the spool is empty")


def test_a_reboot_frees_everything_and_old_dels_succeed(
    make_namespace: Callable[[str], Namespace], shim: Path
) -> None:
    before = make_namespace("before")
    with contextlib.closing(CniNode(before, shim)) as node:
        node.facts(*CIDRS)
        node.start()
        for name in ("a", "b"):
            node.sandbox(name)
        addresses = node.add("a").addresses
        node.add("b")
    before.close()
    with contextlib.closing(CniNode(make_namespace("after"), shim)) as node:
        # The runtime's first DELs may come before anything of ours runs.
        node.delete("a")
        node.facts(*CIDRS)
        node.start()
        spool_is_empty(node)
        node.delete("b", CNI_NETNS="")
        assert node.links() == []
        node.sandbox("a")
        answer = node.add("a")
        assert answer.addresses == addresses
        for address in addresses:
            first_packet_passes(node, "a", address)
        node.delete("a")
        assert node.links() == []


@pytest.mark.parametrize("netns", ["/run/netns/a", "", None, "/run/netns/never"])
def test_dels_without_a_server(node: CniNode, netns: str | None) -> None:
    """Twice, without a sandbox, of a container that nobody knows: all are kept, and all end."""
    node.start()
    for name in ("a", "b"):
        node.sandbox(name)
        node.add(name)
    node.stop(signal.SIGKILL)
    for name in ("a", "a", "unknown"):
        node.delete(name, CNI_NETNS=netns)
    assert len(node.spooled()) == 3
    node.start()
    spool_is_empty(node)
    wait_until(lambda: len(node.links()) == 1, deadline_s=5, what="only b is left")
    node.delete("a", CNI_NETNS=netns)
    assert len(node.links()) == 1


def test_a_del_that_was_kept_never_ends_the_next_pod_of_its_id(node: CniNode) -> None:
    """The ADD is on its way before the server that finds the DEL is there."""
    node.start()
    node.sandbox("a")
    for _ in range(3):
        node.add("a")
        node.stop(signal.SIGKILL)
        node.delete("a")
        add = begin(node, "ADD", "a")
        node.start()
        code, output = end(add)
        assert code == 0, output
        spool_is_empty(node)
        assert len(node.links()) == 1
        for ip in json.loads(output)["ips"]:
            first_packet_passes(node, "a", ip["address"].split("/")[0])
        node.delete("a")


@pytest.mark.parametrize("with_server", [True, False])
def test_a_sandbox_that_somebody_keeps_alive(node: CniNode, with_server: bool) -> None:
    """Its name is gone, its namespace is not: DEL takes the link out of it."""
    node.facts("10.244.1.0/30")
    node.start()
    for name in ("a", "b", "c"):
        node.sandbox(name)
    for name in ("a", "b"):
        node.add(name)
    keeper = node.namespace.popen(
        ["ip", "netns", "exec", "a", "sh", "-c", "echo ready; exec sleep 600"],
        stdout=subprocess.PIPE,
    )
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == "ready\n"
    node.namespace.run(["ip", "netns", "del", "a"])
    node.stop(signal.SIGKILL)
    if with_server:
        node.start()
        # Nobody has said DEL: the pod's address is still taken, across a restart too.
        assert node.call("ADD", "c").body["code"] == 102
    node.delete("a", CNI_NETNS="")
    if not with_server:
        node.start()
        spool_is_empty(node)
    assert len(node.links()) == 1
    argv = ["nsenter", "-t", str(inner_pid(keeper)), "-n", "ip", "link"]
    assert "eth0" not in subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    node.add("c")
    node.namespace.kill(keeper)
    keeper.wait(timeout=10)
    keeper.stdout.close()


def test_adds_while_the_server_is_killed(node: CniNode) -> None:
    """Who got a result has a pod that works; who got an error has nothing."""
    node.start()
    names = [f"p{number}" for number in range(12)]
    for name in names:
        node.sandbox(name)
    calls = []
    for number, name in enumerate(names):
        calls.append(begin(node, "ADD", name))
        if number in (3, 8):
            server = node.server
            assert server is not None
            node.namespace.kill(server)
            server.wait(timeout=10)
            node.start(wait=False)
    results = dict(zip(names, map(end, calls), strict=True))
    node.wait_serving()
    working = {name: json.loads(out) for name, (code, out) in results.items() if code == 0}
    for name, (code, output) in results.items():
        assert code == 0 or json.loads(output)["code"] == 11, name
    # What failed is undone by the DEL that its shim kept, before the next ADD at the latest.
    node.sandbox("last")
    working["last"] = node.add("last").body
    spool_is_empty(node)
    wait_until(
        lambda: len(node.links()) == len(working), deadline_s=5, what="a link for each that works"
    )
    given = [ip["address"] for result in working.values() for ip in result["ips"]]
    assert len(set(given)) == len(given) == 2 * len(working)
    for name, result in working.items():
        first_packet_passes(node, name, result["ips"][0]["address"].split("/")[0])
    for name in [*names, "last"]:
        node.delete(name)
    assert node.links() == []
    assert node.pod_routes() == []


def test_three_servers_started_at_once(node: CniNode) -> None:
    """One serves, and the next takes its place when it is killed; they never serve together."""
    servers = []
    for _ in range(3):
        node.start(wait=False)
        assert node.server is not None
        servers.append(node.server)
    node.wait_serving()
    assert node.log().count("serving INFO") == 1
    node.sandbox("a")
    addresses = node.add("a").addresses
    (holder,) = [
        server for server in servers if f"{RUN_DIR}/cni.sock" in _listening(node, inner_pid(server))
    ]
    before = len(node.log())
    node.namespace.kill(holder)
    holder.wait(timeout=10)
    wait_until(
        lambda: "serving INFO" in node.log()[before:], deadline_s=10, what="another one serves"
    )
    assert node.log().count("serving INFO") == 2
    assert node.call("ADD", "a").body["code"] == 100
    for address in addresses:
        first_packet_passes(node, "a", address)
    node.delete("a")
    for server in servers:
        if server is not holder:
            node.namespace.kill(server)
            server.wait(timeout=10)
    node.server = None


def _listening(node: CniNode, pid: int) -> str:
    """Return the paths of the unix sockets that a process has open and bound."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
    lines = Path(f"/proc/{node.namespace.pid}/net/unix").read_text(encoding="ascii").splitlines()
    # A socket keeps the path it was bound to, whatever it was renamed to.
    bound = [line.split()[7] for line in lines[1:] if line.split()[6] in inodes and "/" in line]
    return " ".join(path.replace("/.cni.sock.new", "/cni.sock") for path in bound)


def test_names_of_300_characters(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.add("a", config=LONG_NETWORK, **LONG)
    node.add("a", config=LONG_NETWORK, **LONG, CNI_IFNAME="eth1")
    node.add("a", config={"name": "n" * 299}, **LONG, CNI_IFNAME="eth2")
    node.stop(signal.SIGKILL)
    node.delete("a", config=LONG_NETWORK, **LONG)
    node.start()
    spool_is_empty(node)
    assert len(node.links()) == 2
    result = node.add("a", config=LONG_NETWORK, **LONG).body
    checked = node.call("CHECK", "a", config=LONG_NETWORK | {"prevResult": result}, **LONG)
    assert (checked.exit_code, checked.stdout) == (0, "")
    keep = [{"containerID": "c" * 300, "ifname": "eth1"}]
    config = LONG_NETWORK | {"cniVersion": "1.1.0", "cni.dev/valid-attachments": keep}
    assert node.call("GC", "a", config=config).exit_code == 0
    assert len(node.links()) == 2
    node.delete("a", config=LONG_NETWORK, **LONG, CNI_IFNAME="eth1")
    node.delete("a", config={"name": "n" * 299}, **LONG, CNI_IFNAME="eth2")
    assert node.links() == []


def test_a_del_that_cannot_be_kept_is_not_said_to_be(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    os.kill(node.server_pid, signal.SIGSTOP)
    node.namespace.run(["sh", "-c", f"rm -rf {RUN_DIR}/spool; touch {RUN_DIR}/spool"])
    add = begin(node, "ADD", "a")
    wait_until(
        lambda: node.namespace.run(["cat", "/proc/net/unix"]).stdout.count("cni.sock") == 2,
        deadline_s=10,
        what="the call is connected",
    )
    assert node.server is not None
    node.namespace.kill(node.server)
    node.server.send_signal(signal.SIGCONT)
    node.server.wait(timeout=10)
    node.server = None
    code, output = end(add)
    assert (code, json.loads(output)["code"]) == (1, 11)
    assert "is kept" not in output
    answer = node.call("DEL", "a")
    assert (answer.exit_code, answer.body["code"]) == (1, 11)
