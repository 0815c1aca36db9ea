"""The server killed -9 before and after every kernel operation of ADD, DEL and GC.

After each death a new server starts, and everything must be as if the call had never been made, or
had been made whole: no link without a pod, no address taken without an attachment, no DEL lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.support.cni_node import RUN_DIR, SERVER, CniNode, build_shim, first_packet_passes
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

# Dies at the n-th conversation with the kernel after the file appeared, before or after it.
DEADLY = """
import os, signal
from router.kernel.channel import Channel

def deadly(conversation):
    def converse(*arguments):
        if os.path.exists("/run/podroute/kill"):
            with open("/run/podroute/kill") as file:
                at, moment = file.read().split()
            counted.append(1)
            if len(counted) == int(at) and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = conversation(*arguments)
            if len(counted) == int(at):
                os.kill(os.getpid(), signal.SIGKILL)
            return result
        return conversation(*arguments)
    return converse

counted = []
Channel._send_chunk = deadly(Channel._send_chunk)
Channel._dump_once = deadly(Channel._dump_once)
"""


@pytest.fixture
def node(
    make_namespace: Callable[[str], Namespace], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CniNode]:
    shim = build_shim(tmp_path_factory.mktemp("shim"))
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts("10.244.1.0/24", "fd00:244:1::/64")
        node.program = DEADLY + SERVER
        node.start()
        for name in ("keep", "a", "b"):
            node.sandbox(name)
        node.add("keep")
        yield node


def points(conversations: int) -> Iterator[tuple[int, str]]:
    return ((at, moment) for at in range(1, conversations + 1) for moment in ("before", "after"))


def arm(node: CniNode, at: int, moment: str) -> None:
    node.namespace.run(["sh", "-c", f"echo {at} {moment} > {RUN_DIR}/kill"])


def start_again(node: CniNode) -> None:
    """Wait for the death, which may come after the caller's answer, and start a new server."""
    assert node.server is not None
    node.server.wait(timeout=10)
    node.namespace.run(["rm", f"{RUN_DIR}/kill"])
    node.start()
    wait_until(lambda: not node.spooled(), deadline_s=5, what="the spool is empty")


def survives(node: CniNode) -> None:
    """Check that there were no more conversations than those the server died at."""
    assert node.server is not None
    assert node.server.poll() is None
    node.sandbox("last")
    node.namespace.run(["rm", f"{RUN_DIR}/kill"])
    node.add("last")
    node.delete("last")


def only_keep_is_left(node: CniNode) -> None:
    assert len(node.links()) == 1
    assert node.pod_routes() == ["10.244.1.1", "fd00:244:1::1"]
    for name in ("a", "b"):
        assert "eth0" not in node.in_pod(name, "ip", "link")
    for address in ("10.244.1.1", "fd00:244:1::1"):
        first_packet_passes(node, "keep", address)


def test_add(node: CniNode) -> None:
    for at, moment in points(4):
        arm(node, at, moment)
        answer = node.call("ADD", "a")
        assert answer.body["code"] == 11, (at, moment)
        start_again(node)
        only_keep_is_left(node)
        for address in node.add("a").addresses:
            first_packet_passes(node, "a", address)
        node.delete("a")
        only_keep_is_left(node)
    arm(node, 5, "before")
    node.add("a")
    survives(node)


def test_del(node: CniNode) -> None:
    for at, moment in points(1):
        node.add("a")
        arm(node, at, moment)
        node.delete("a")
        start_again(node)
        only_keep_is_left(node)
    node.add("a")
    arm(node, 2, "before")
    node.delete("a")
    survives(node)
    only_keep_is_left(node)


def test_gc(node: CniNode) -> None:
    valid = [{"containerID": "container-keep", "ifname": "eth0"}]
    config = {"cniVersion": "1.1.0", "cni.dev/valid-attachments": valid}
    for at, moment in points(2):
        node.add("a")
        node.add("b")
        arm(node, at, moment)
        answer = node.call("GC", "", config=config)
        assert answer.exit_code == 0 or answer.body["code"] == 11
        start_again(node)
        assert node.call("GC", "", config=config).exit_code == 0
        only_keep_is_left(node)
    node.add("a")
    node.add("b")
    arm(node, 3, "before")
    assert node.call("GC", "", config=config).exit_code == 0
    only_keep_is_left(node)
    survives(node)
