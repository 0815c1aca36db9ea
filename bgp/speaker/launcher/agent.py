"""agent: the speaker's end of the connection to the agent. SHELL."""

from __future__ import annotations

import _thread
import os
import select
import signal
import socket

CONGESTED_BYTES = 4 << 20
PATIENCE_MS = 5
POLLRDHUP = 0x2000


class Agent:
    """The connection to the agent; stands where ExaBGP expects its helper process."""

    pid = 0

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
        except OSError:
            die()
        self.socket.setblocking(False)
        self.stdin = self
        self.stdout = self.socket
        self._waiting = bytearray()
        self._room = select.poll()
        self._room.register(self.socket, select.POLLOUT)
        _thread.start_new_thread(watch, (self.socket.fileno(),))

    @property
    def is_congested(self) -> bool:
        """Tell whether so much waits that UPDATEs should not be read."""
        return len(self._waiting) > CONGESTED_BYTES

    def write(self, data: bytes) -> int:
        """Queue; `flush` follows."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Write what the socket takes now."""
        try:
            while self._waiting:
                sent = self.socket.send(self._waiting)
                del self._waiting[:sent]
        except BlockingIOError:
            return
        except OSError:
            die()

    def wait(self, timeout: float | None = None) -> int:
        """Wait a moment for room in the socket; as a process, has ended."""
        if timeout is None:
            self._room.poll(PATIENCE_MS)
            self.flush()
        return 0

    def poll(self) -> None:
        """Is alive; called by ExaBGP in every turn of its loop."""
        self.flush()

    def terminate(self) -> None:
        """Cannot be ended."""

    kill = terminate


def watch(descriptor: int) -> None:
    """Wait for the agent to go, and follow it; nothing else may notice late."""
    poller = select.poll()
    poller.register(descriptor, POLLRDHUP)
    poller.poll()
    die()


def die() -> None:
    """End without a word to anybody, so that the peers apply graceful restart."""
    os.kill(os.getpid(), signal.SIGKILL)
