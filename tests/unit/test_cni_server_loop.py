"""The server's loop with callers that do not behave, on a dataplane without a kernel."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from cni.node_facts import NodeFacts, render
from cni.server.facts import FactsFile
from cni.server.loop import Loop
from cni.server.replay import Replay
from cni.server.service import Service
from cni.server.spool import Spool
from cni.wire import Request, parse_reply, render_request
from tests.support.fake_dataplane import FakeDataplane
from tests.support.wait import wait_until

CONFIG = b'{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}'


class SilentDataplane(FakeDataplane):
    """Never tells the end of a removal by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.event = os.eventfd(0, os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self.event


class RunningLoop:
    """A loop in a thread; ``busy_s`` is the processor time it has taken."""

    def __init__(self, directory: Path) -> None:
        facts = NodeFacts(
            generation=1,
            node="n",
            pod_cidrs=(ip_network("10.244.1.0/24"),),
            node_addresses=(),
            mtu=1500,
            ready=True,
            reason="",
        )
        (directory / "node.json").write_bytes(render(facts))
        self.dataplane = SilentDataplane()
        service = Service(self.dataplane, FactsFile(directory / "node.json"))
        self.path = directory / "socket"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        spool = Spool(directory / "spool")
        self.loop = Loop(service, self.dataplane, Replay(service, spool), self._listener)
        self.busy_s = 0.0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self.loop.watch(self._wake)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        started_s = time.thread_time()
        self.loop.run()
        self.busy_s = time.thread_time() - started_s

    def call(self, command: str) -> socket.socket:
        """Send a call, with the sandbox that an ADD needs; return the connection."""
        variables = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "a",
            "CNI_NETNS": "/run/netns/a",
            "CNI_IFNAME": "eth0",
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.path))
        connection.settimeout(5)
        frame = render_request(Request(variables=variables, stdin=CONFIG))
        socket.send_fds(connection, [frame], [0])
        return connection

    def stop(self) -> None:
        self.loop.stop()
        os.eventfd_write(self._wake, 1)
        self._thread.join(10)

    def close(self) -> None:
        self.stop()
        self.loop.finish(0)
        self._listener.close()
        os.close(self._wake)
        os.close(self.dataplane.event)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningLoop]:
    running = RunningLoop(tmp_path)
    yield running
    running.close()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    data = b""
    with connection:
        while chunk := connection.recv(65536):
            data += chunk
    return parse_reply(data)


def test_bytes_behind_a_request_do_not_keep_the_server_busy(running: RunningLoop) -> None:
    assert answer(running.call("ADD"))[0] == 0
    with running.call("DEL") as connection:
        wait_until(lambda: running.dataplane.removing, deadline_s=5, what="the removal begins")
        connection.send(b"more")
        started_s = time.monotonic()
        wait_until(lambda: time.monotonic() - started_s > 1, deadline_s=5, what="a second is over")
        running.stop()
    assert running.busy_s < 0.3


def test_a_caller_that_leaves_is_noticed_while_it_waits(running: RunningLoop) -> None:
    assert answer(running.call("ADD"))[0] == 0
    waiting = running.call("DEL")
    wait_until(lambda: running.dataplane.removing, deadline_s=5, what="the removal begins")
    waiting.send(b"more")
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    waiting.close()
    # Ours, the server's end of it, and the sandbox it brought.
    wait_until(
        lambda: len(os.listdir("/proc/self/fd")) <= descriptors - 3,  # noqa: PTH208
        deadline_s=5,
        what="the server closes its end",
    )
