"""The CNI server killed, stopped, away, doubled: nothing is lost, nothing given twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import (
    RUN_DIR,
    SOCKET,
    CniNode,
    begin,
    end,
    first_packet_passes,
)
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

CIDRS = ("10.244.1.0/24", "fd00:244:1::/64")


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts(*CIDRS)
        yield node


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_pods_and_knows_them(node: CniNode, signum: int) -> None:
    node.start()
    for name in ("a", "b", "c"):
        node.sandbox(name)
    addresses = node.add("a").addresses
    node.add("b")
    code = node.stop(signum)
    assert code == (0 if signum == signal.SIGTERM else -signum)
    for address in addresses:
        first_packet_passes(node, "a", address)
    node.start()
    for address in addresses:
        first_packet_passes(node, "a", address)
    assert node.add("c").addresses == ["10.244.1.3", "fd00:244:1::3"]
    assert node.call("ADD", "a").body["code"] == 100
    for name in ("a", "b", "c"):
        node.delete(name)
    assert node.links() == []


def test_a_del_without_server_is_spooled_and_replayed_before_the_next_add(node: CniNode) -> None:
    node.facts("10.244.1.0/30")
    node.start()
    for name in ("a", "b"):
        node.sandbox(name)
        node.add(name)
    node.stop(signal.SIGKILL)
    node.delete("a")
    (name,) = node.spooled()
    listed = node.namespace.run(
        ["stat", "-c", "%a %u", f"{RUN_DIR}/spool", f"{RUN_DIR}/spool/{name}"]
    )
    assert listed.stdout.split() == ["700", "0", "600", "0"]
    assert len(node.links()) == 2
    node.start()
    # The pool has two addresses: only the one of the spooled DEL can be free.
    assert node.add("a").addresses == ["10.244.1.1"]
    wait_until(lambda: not node.spooled(), deadline_s=5, what="the spool is empty")
    assert len(node.links()) == 2
    node.stop()
    node.start()
    assert len(node.links()) == 2


def test_a_spooled_del_never_meets_a_later_add(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.add("a")
    node.stop()
    for _ in range(3):
        node.delete("a")
    assert len(node.spooled()) == 3
    node.start()
    node.add("a")
    wait_until(lambda: not node.spooled(), deadline_s=5, what="the spool is empty")
    assert len(node.links()) == 1
    for address in ("10.244.1.2", "fd00:244:1::2"):
        first_packet_passes(node, "a", address)


def test_a_dels_spool_is_made_where_there_is_none(node: CniNode) -> None:
    node.namespace.run(["rm", "-rf", RUN_DIR])
    node.delete("a")
    listed = node.namespace.run(["stat", "-c", "%a", RUN_DIR, f"{RUN_DIR}/spool"])
    # The way to the speaker's socket, too, whose user is not root.
    assert listed.stdout.split() == ["755", "700"]


def test_rubbish_in_the_spool_is_removed(node: CniNode) -> None:
    script = f"mkdir -p {RUN_DIR}/spool/directory; echo x > {RUN_DIR}/spool/rubbish"
    node.namespace.run(["sh", "-c", script])
    node.start()
    node.sandbox("a")
    node.add("a")
    assert "rubbish" not in node.spooled()


def test_an_add_waits_for_a_server(node: CniNode) -> None:
    node.sandbox("a")
    add = begin(node, "ADD", "a")
    node.start()
    code, output = end(add)
    assert code == 0, output
    for ip in json.loads(output)["ips"]:
        first_packet_passes(node, "a", ip["address"].split("/")[0])


@pytest.mark.slow
def test_without_a_server_each_command_says_so(node: CniNode) -> None:
    node.sandbox("a")
    expected = {"ADD": 11, "CHECK": 11, "GC": 11, "STATUS": 50}
    for command, code in expected.items():
        answer = node.call(command, "a", config={"cniVersion": "1.1.0"})
        assert (answer.exit_code, answer.body["code"]) == (1, code)
        assert answer.body["cniVersion"] == "1.1.0"
    assert node.spooled() == []


@pytest.mark.parametrize("stdin", ["", "{", '{"cniVersion": "0.4.0"}'])
def test_version_needs_no_server(node: CniNode, stdin: str) -> None:
    answer = node.call("VERSION", "dummy", config=stdin)
    assert answer.exit_code == 0
    assert answer.body["cniVersion"] == ("0.4.0" if "0.4.0" in stdin else "1.1.0")
    assert answer.body["supportedVersions"] == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def test_a_server_that_dies_before_its_answer(node: CniNode) -> None:
    """A stopped server takes the request into its socket and never answers."""
    node.start()
    node.sandbox("a")
    node.sandbox("b")
    node.add("b")
    os.kill(node.server_pid, signal.SIGSTOP)
    calls = [begin(node, "ADD", "a"), begin(node, "DEL", "b")]
    # One listener, and one socket for each that waits to be accepted.
    wait_until(
        lambda: node.namespace.run(["cat", "/proc/net/unix"]).stdout.count("cni.sock") == 3,
        deadline_s=10,
        what="both calls are connected",
    )
    assert node.server is not None
    node.namespace.kill(node.server)
    # nsenter stops with its child, and does not go on with it.
    node.server.send_signal(signal.SIGCONT)
    node.server.wait(timeout=10)
    (add_code, add_output), (del_code, del_output) = map(end, calls)
    assert (add_code, json.loads(add_output)["code"]) == (1, 11)
    assert (del_code, del_output) == (0, "")
    # The failed ADD left a DEL too: whatever the server had done of it is undone.
    assert len(node.spooled()) == 2
    node.start()
    wait_until(lambda: not node.spooled(), deadline_s=5, what="the spool is empty")
    assert node.links() == []
    node.add("a")


def test_links_left_half_made_or_half_removed_are_removed_at_start(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    whole = node.add("a").body["interfaces"][0]["name"]
    node.stop(signal.SIGKILL)
    run = node.namespace.run
    for name, group in (("podunfinished", 0x7072), ("podcondemned", 0x70720007), ("foreign", 5)):
        run(["ip", "link", "add", name, "group", str(group), "type", "veth"])  # both ends
    node.start()
    assert whole in node.links()
    names = set(node.links())
    assert not names & {"podunfinished", "podcondemned"}
    assert "foreign" in names
    log = node.log()
    assert log.count("unfinished link") == 4
    # A whole link that loses its routes while no server looks is a living pod's all the same.
    routes = node.pod_routes()
    node.stop(signal.SIGKILL)
    run(["ip", "route", "flush", "proto", "73"])
    node.start()
    assert whole in node.links()
    assert node.pod_routes() == routes


@pytest.mark.slow
def test_the_second_server_waits_and_ends_without_touching_anything(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    addresses = node.add("a").addresses
    first = node.server
    node.start(wait=False)
    second = node.server
    assert first is not None
    assert second is not None
    assert second.wait(timeout=20) == 1
    node.server = first
    assert "another CNI server holds" in node.log() or "not started" in node.log()
    node.delete("a")
    assert node.add("a").addresses != addresses


def test_the_successor_takes_over_when_the_first_ends(node: CniNode) -> None:
    node.start()
    first = node.server
    assert first is not None
    node.start(wait=False)
    second = node.server
    node.server = first
    node.stop()
    node.server = second
    node.wait_serving()
    node.sandbox("a")
    node.add("a")


def test_calls_during_a_planned_restart_all_succeed(node: CniNode) -> None:
    node.start()
    names = [f"p{number}" for number in range(16)]
    for name in names:
        node.sandbox(name)
    adds = []
    for number, name in enumerate(names):
        adds.append(begin(node, "ADD", name))
        if number == 8:
            os.kill(node.server_pid, signal.SIGTERM)
            old = node.server
            node.start(wait=False)
            assert old is not None
            old.wait(timeout=10)
    results = list(map(end, adds))
    assert [code for code, _ in results] == [0] * 16, results
    given = {ip["address"] for _, output in results for ip in json.loads(output)["ips"]}
    assert len(given) == 32
    assert len(node.links()) == 16


def test_an_id_of_300_characters(node: CniNode) -> None:
    node.start()
    node.sandbox("a")
    node.add("a", CNI_CONTAINERID="c" * 300)
    node.stop(signal.SIGKILL)
    node.start()
    assert len(node.links()) == 1
    node.delete("a", CNI_CONTAINERID="c" * 299)
    assert len(node.links()) == 1
    node.delete("a", CNI_CONTAINERID="c" * 300)
    assert node.links() == []


# Who may talk to the server, and how


HOSTILE = r"""
import os, socket, struct, sys
def dial():
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(20); return s
def reply(s):
    data = b""
    while chunk := s.recv(65536): data += chunk
    return data
silent = [dial() for _ in range(300)]
for s in silent[:40]: s.close()
rubbish = dial(); rubbish.send(b"GET / HTTP/1.1\r\n\r\n"); assert b'"code":6' in reply(rubbish)
large = dial(); large.send(struct.pack("<4sII", b"PRS1", 0, 2**32 - 1))
assert b'"code":6' in reply(large)
short = dial(); short.send(struct.pack("<4sII", b"PRS1", 100, 100) + b"CNI_"); short.close()
slow = dial()
body = b"CNI_COMMAND=VERSION\0"
for byte in struct.pack("<4sII", b"PRS1", len(body), 0) + body: slow.send(bytes([byte]))
assert b"supportedVersions" in reply(slow)
many = dial()
fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
socket.send_fds(many, [struct.pack("<4sII", b"PRS1", 0, 0)], fds); assert b'"code":4' in reply(many)
print("survived")
"""


def test_hostile_callers_do_no_harm(node: CniNode) -> None:
    node.start()
    before = len(list(Path(f"/proc/{node.server_pid}/fd").iterdir()))
    python = ["python3", "-I", "-c", HOSTILE, SOCKET]
    done = node.namespace.run(python, timeout_s=60)
    assert "survived" in done.stdout
    node.sandbox("a")
    node.add("a")
    node.delete("a")
    descriptors = Path(f"/proc/{node.server_pid}/fd")
    wait_until(
        lambda: len(list(descriptors.iterdir())) <= before + 1,
        deadline_s=15,
        what="no descriptor is left over",
    )
    assert "Traceback" not in node.log()


def test_only_root_is_heard(node: CniNode) -> None:
    node.start()
    mode = node.namespace.run(["stat", "-c", "%a %u", SOCKET, RUN_DIR]).stdout.split()
    assert mode == ["600", "0", "700", "0"]
    # Even where somebody opened the way: SO_PEERCRED says who it is.
    node.namespace.run(["chmod", "777", RUN_DIR, SOCKET])
    dial = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "print(len(s.recv(9)))"
    )
    argv = ["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-I", "-c", dial]
    assert node.namespace.run([*argv, SOCKET]).stdout == "0\n"
    assert "connection refused" in node.log()
