"""Callers that want harm, on the real server: what they send, how slowly, how many, and as whom."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cni_node import SOCKET, CniNode, build_shim
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns

DIAL = r"""
import array, ctypes, os, select, signal, socket, struct, sys, tempfile
path = sys.argv[1]
def dial():
    s = socket.socket(socket.AF_UNIX); s.connect(path); s.settimeout(30); return s
def reply(s):
    data = b""
    while chunk := s.recv(65536): data += chunk
    return data
def frame(stdin=b'{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}', **extra):
    items = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "x", "CNI_NETNS": "/n", "CNI_IFNAME": "eth0"}
    env = b"".join(f"{k}={v}".encode() + b"\0" for k, v in (items | extra).items())
    return struct.pack("<4sII", b"PRS1", len(env), len(stdin)) + env + stdin
def send(s, data, *fds):
    s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
"""

DESCRIPTORS = (
    DIAL
    + r"""
O_PATH = os.O_PATH | os.O_CLOEXEC
pipe = os.pipe()
pair = socket.socketpair()
kinds = {
    "file": os.open("/etc/hostname", os.O_RDONLY),
    "directory": os.open("/", os.O_RDONLY),
    "null": os.open("/dev/null", os.O_RDWR),
    "pipe": pipe[0],
    "full pipe": pipe[1],
    "socket": pair[0].fileno(),
    "server's socket": dial().detach(),
    "netlink": socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).detach(),
    "event": os.eventfd(0),
    "epoll": select.epoll().fileno(),
    "memory": os.memfd_create("m"),
    "process": os.pidfd_open(os.getpid()),
    "path of a namespace": os.open("/run/netns/a", O_PATH),
    "mount namespace": os.open("/proc/self/ns/mnt", os.O_RDONLY),
    "user namespace": os.open("/proc/self/ns/user", os.O_RDONLY),
    "directory of namespaces": os.open("/proc/self/ns", os.O_RDONLY),
}
keep = select.epoll()
kinds["epoll"] = keep.fileno()
for name, fd in kinds.items():
    s = dial(); send(s, frame(), fd)
    answer = reply(s)
    assert b'"code":4' in answer, (name, answer)
s = dial(); send(s, frame(), os.open("/proc/self/ns/net", os.O_RDONLY))
assert b'"code":8' in reply(s), "the node's own"
# Without one, with one that is closed at once, with one for each part of the request.
s = dial(); s.sendall(frame()); assert b'"code":4' in reply(s)
s = dial()
for byte in frame(): send(s, bytes([byte]), kinds["null"])
assert b'"code":4' in reply(s)
print("survived")
"""
)

FRAMES = (
    DIAL
    + r"""
big = b'{"x":"' + b"y" * (4 * 1024 * 1024 - 10) + b'"}'
s = dial(); s.sendall(frame(big)); assert b'"code":' in reply(s)
s = dial(); s.sendall(b"PRS1" + b"\xff" * 8); assert b'"code":6' in reply(s)
s = dial(); s.sendall(frame(b"[" * 1000000)); assert b'"code":6' in reply(s)
s = dial(); s.sendall(frame(b"9" * 100000)); assert b'"code":6' in reply(s)
s = dial(); s.sendall(frame(CNI_ARGS="A" * 200000)); assert b'"code":4' in reply(s)
whole = frame()
for cut in range(0, len(whole), 7):
    s = dial(); s.sendall(whole[:cut]); s.shutdown(socket.SHUT_WR); assert reply(s) == b""
for cut in range(1, len(whole), 7):
    s = dial(); s.sendall(whole[:cut]); s.close()
# Answers that nobody takes: the server must not wait for room.
deaf = [dial() for _ in range(50)]
for s in deaf:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.sendall(frame(CNI_COMMAND="VERSION"))
s = dial(); s.sendall(frame(CNI_COMMAND="VERSION")); assert b"supportedVersions" in reply(s)
print("survived")
"""
)

CROWD = (
    DIAL
    + r"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
crowd = []
for _ in range(1000):
    s = socket.socket(socket.AF_UNIX); s.connect(path); crowd.append(s)
print("ready", flush=True)
sys.stdin.read()
"""
)


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], tmp_path: Path) -> Iterator[CniNode]:
    shim = build_shim(tmp_path)
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts("10.244.1.0/24", "fd00:244:1::/64")
        node.start()
        node.sandbox("a")
        yield node


def run(node: CniNode, script: str) -> str:
    argv = ["python3", "-I", "-c", script, SOCKET]
    return node.namespace.run(argv, timeout_s=100).stdout


def open_descriptors(node: CniNode) -> int:
    return len(list(Path(f"/proc/{node.server_pid}/fd").iterdir()))


def is_unharmed(node: CniNode, descriptors: int) -> None:
    node.add("a")
    node.delete("a")
    assert node.links() == []
    wait_until(
        lambda: open_descriptors(node) <= descriptors + 1,
        deadline_s=20,
        what="no descriptor is left over",
    )
    assert "Traceback" not in node.log()
    assert "internal error" not in node.log()


@pytest.mark.parametrize("script", [DESCRIPTORS, FRAMES], ids=["descriptors", "frames"])
def test_hostile_callers_get_an_error_and_nothing_else(node: CniNode, script: str) -> None:
    before = open_descriptors(node)
    assert run(node, script) == "survived\n"
    is_unharmed(node, before)


@pytest.mark.slow
def test_a_thousand_silent_callers_delay_an_honest_one_at_most(node: CniNode) -> None:
    before = open_descriptors(node)
    crowd = node.namespace.popen(["python3", "-I", "-c", CROWD, SOCKET], stdin=-1, stdout=-1)
    assert crowd.stdout is not None
    assert crowd.stdin is not None
    assert crowd.stdout.readline() == "ready\n"
    started_s = time.monotonic()
    answer = node.call("ADD", "a", timeout_s=60)
    took_s = time.monotonic() - started_s
    assert answer.exit_code == 0, answer.stdout
    assert took_s < 45
    node.delete("a", timeout_s=60)
    crowd.stdin.close()
    crowd.stdout.close()
    crowd.wait(timeout=10)
    is_unharmed(node, before)


def test_the_server_stays_small_whatever_it_is_sent(node: CniNode) -> None:
    run(node, FRAMES)
    status = Path(f"/proc/{node.server_pid}/status").read_text(encoding="ascii")
    (resident,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident) < 64 * 1024


@pytest.mark.parametrize("user", ["65534", "61179"])
def test_nobody_but_root_is_heard(node: CniNode, user: str) -> None:
    """Neither over the socket, nor when somebody opened the way to it."""
    node.namespace.run(["chmod", "755", "/run/podroute"])
    script = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.settimeout(10); print(len(s.recv(9)))"
    )
    argv = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
    dial = [*argv, "/usr/bin/python3", "-I", "-c", script, SOCKET]
    refused = node.namespace.run(dial, check=False)
    assert "PermissionError" in refused.stderr
    node.namespace.run(["chmod", "666", SOCKET])
    assert node.namespace.run(dial).stdout == "0\n"
    shim = node.namespace.run(
        [*argv, "env", "CNI_COMMAND=STATUS", str(node.shim)], check=False, input="{}"
    )
    assert shim.returncode != 0
    is_unharmed(node, open_descriptors(node))
