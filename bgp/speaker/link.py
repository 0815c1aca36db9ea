"""Link: the agent's end of the API, a unix socket. SHELL.

The speaker itself connects to it (our launcher), or the relay does (ExaBGP's helper): "relay" below
is whoever does.

A thread reads and does nothing else: ExaBGP writes to its helper with a blocking write, so
whoever does not read stops the whole speaker, KEEPALIVEs included (research: 24 s without one).
Writing never blocks either: what the socket does not take waits here.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bgp.speaker.launch import share
from bgp.speaker.stream import Frame, Splitter

log = logging.getLogger(__name__)

READ_BYTES = 1 << 18
TAKE_BYTES = 1 << 21
_CREDENTIALS = struct.Struct("iII")


class Link:
    """One connected relay, or none yet."""

    def __init__(self, path: Path, owner: tuple[int, int], wake: Callable[[], None]) -> None:
        """Listen; `owner` is the relay's user and group, the only ones let in."""
        path.unlink(missing_ok=True)
        self._path = path
        self._uid = owner[0]
        self._wake = wake
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._listener.bind(str(path))
        path.chmod(0o600)
        share(path, owner[1])
        path.chmod(0o660)
        self._listener.listen(4)
        self._connection: socket.socket | None = None
        self._relay: int | None = None
        self._incoming: deque[bytes] = deque()
        self._splitter = Splitter()
        self._outgoing = bytearray()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._pid: int | None = None
        self._ended = False
        self._thread: threading.Thread | None = None

    def open(self, speaker_pid: int) -> None:
        """Wait, in the background, for the relay of the speaker with this process id."""
        self._pid = speaker_pid
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name="speaker-link", daemon=True)
        self._thread.start()

    @property
    def is_connected(self) -> bool:
        """Tell whether the relay has connected; stays true until `close`."""
        return self._connection is not None

    @property
    def has_ended(self) -> bool:
        """Tell whether the relay is gone and all it said has been taken."""
        return self._ended and not self._incoming

    def take(self) -> list[bytes | Frame]:
        """Give the complete lines and frames received since the last call, up to TAKE_BYTES.

        If there is more, `wake` is called: a large table comes in pieces, so that what is made of
        one does not stay in memory while the next is read, and links are looked after in between.
        """
        chunks, size = [], 0
        while self._incoming and size < TAKE_BYTES:
            chunks.append(self._incoming.popleft())
            size += len(chunks[-1])
        if self._incoming:
            self._wake()
        if not chunks:
            return []
        try:
            return self._splitter.feed(chunks)
        except ValueError as error:
            log.warning("speaker's words dropped", extra={"reason": str(error)})
            self._splitter.clear()
            return []

    def send(self, data: bytes) -> None:
        """Queue commands and write what the socket takes now; without a relay they are lost."""
        if self._connection is None:
            return
        self._outgoing += data
        try:
            while self._outgoing:
                sent = self._connection.send(self._outgoing)
                del self._outgoing[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()

    @property
    def unsent_bytes(self) -> int:
        """Count what still waits here."""
        return len(self._outgoing)

    def close(self) -> None:
        """Drop the connection: the relay kills its ExaBGP. A relay that hangs is killed.

        Idempotent; `open` may follow.
        """
        os.eventfd_write(self._stop, 1)
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        os.eventfd_read(self._stop)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._relay is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._relay, signal.SIGKILL)
            os.close(self._relay)
            self._relay = None
        self._incoming.clear()
        self._outgoing.clear()
        self._splitter.clear()

    def dispose(self) -> None:
        """Close for good and remove the socket."""
        self.close()
        self._listener.close()
        self._path.unlink(missing_ok=True)
        os.close(self._stop)

    def _serve(self) -> None:
        connection = self._accept()
        if connection is None:
            return
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        poller.register(self._stop, select.POLLIN)
        self._connection = connection
        self._wake()
        while True:
            if any(descriptor == self._stop for descriptor, _ in poller.poll()):
                return
            try:
                data = connection.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                break
            self._incoming.append(data)
            self._wake()
        self._ended = True
        self._wake()

    def _accept(self) -> socket.socket | None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(self._stop, select.POLLIN)
        while True:
            if any(descriptor == self._stop for descriptor, _ in poller.poll()):
                return None
            try:
                connection, _ = self._listener.accept()
            except OSError:
                continue
            if self._is_relay(connection):
                connection.setblocking(False)
                return connection
            # A relay of a former ExaBGP: closing makes it kill that one.
            log.warning("connection to the speaker socket refused")
            connection.close()

    def _is_relay(self, connection: socket.socket) -> bool:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(raw)
        if uid != self._uid:
            return False
        try:
            relay = os.pidfd_open(pid)
        except OSError:
            return False
        if self._pid not in (pid, _parent_of(pid)):
            os.close(relay)
            return False
        self._relay = relay
        return True


def _parent_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold anything, so count from its end (proc(5)).
    return int(status.rpartition(")")[2].split()[1])
