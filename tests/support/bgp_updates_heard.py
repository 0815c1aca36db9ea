"""A BGP peer in this process that notes when it heard of each IPv4 host route. Tests only."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from containerlab.runtime.namespace import socket_in
from tests.support.bgp_wire import KEEPALIVE, UPDATE, message
from tests.support.raw_speaker import open_message

_HEADER: Final = 19
_KEEPALIVE_S: Final = 2.0


class Listener:
    """Accepts one session after the other, and answers with nothing but KEEPALIVE."""

    def __init__(self, pid: int, address: str, asn: int) -> None:
        """Listen on port 179 in the network namespace of a process."""
        self._asn = asn
        self._open = True
        self.announced: set[bytes] = set()
        """Packed addresses of the host routes that are announced now."""
        self.changed_at: dict[bytes, float] = {}
        """Monotonic time of the last UPDATE about each."""
        self.updates = 0
        """How many UPDATEs there were."""
        self._news = threading.Condition()
        self._socket = socket_in(pid)
        self._socket.bind((address, 179))
        self._socket.listen(4)
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End session and listener."""
        self._open = False
        self._thread.join()
        self._socket.close()

    def wait(self, test: Callable[[], bool], deadline_s: float) -> None:
        """Wait until a test of `announced` is true. Raises TimeoutError."""
        with self._news:
            if not self._news.wait_for(test, deadline_s):
                raise TimeoutError(f"{len(self.announced)} host routes are announced")

    def _run(self) -> None:
        while self._open:
            try:
                session, _ = self._socket.accept()
            except TimeoutError:
                continue
            with session:
                session.settimeout(0.2)
                session.sendall(open_message(self._asn, "10.255.0.1", 4) + message(KEEPALIVE))
                try:
                    self._listen(session)
                except ConnectionError:
                    continue

    def _listen(self, session: socket.socket) -> None:
        buffer, kept_at = b"", time.monotonic()
        while self._open:
            if time.monotonic() - kept_at > _KEEPALIVE_S:
                kept_at = time.monotonic()
                session.sendall(message(KEEPALIVE))
            try:
                data = session.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                return
            at = time.monotonic()
            buffer += data
            while len(buffer) >= _HEADER:
                length = int.from_bytes(buffer[16:18], "big")
                if len(buffer) < length:
                    break
                raw, buffer = buffer[:length], buffer[length:]
                if raw[18] == UPDATE:
                    self._take(raw[_HEADER:], at)

    def _take(self, body: bytes, at: float) -> None:
        gone = int.from_bytes(body[:2], "big")
        attributes = int.from_bytes(body[2 + gone : 4 + gone], "big")
        with self._news:
            self.updates += 1
            for host in _hosts(body[2 : 2 + gone]):
                self.announced.discard(host)
                self.changed_at[host] = at
            for host in _hosts(body[4 + gone + attributes :]):
                self.announced.add(host)
                self.changed_at[host] = at
            self._news.notify_all()


def _hosts(raw: bytes) -> list[bytes]:
    """Return the /32 prefixes of a field of NLRI (RFC 4271 section 4.3)."""
    found: list[bytes] = []
    at = 0
    while at < len(raw):
        size = (raw[at] + 7) // 8
        if raw[at] == 32:
            found.append(raw[at + 1 : at + 5])
        at += 1 + size
    return found
