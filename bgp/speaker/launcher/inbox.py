"""inbox: what a connection has received and nobody has taken yet, cut into BGP messages.

Reads from a socket it is given, and does not wait.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any

RECEIVE_BYTES = 1 << 18
FIRST_BYTES = 1 << 14
"""Asked for first: mostly nothing is there, and a large buffer would be mapped for each look."""
HEADER_BYTES = 19
SHORTEST_UPDATE_BYTES = 23
UPDATE = 2
MARKER = b"\xff" * 16


class Inbox:
    """What a connection has received and nobody has taken yet."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.failure: Exception | None = None
        """What becomes of the connection once everything complete has been taken."""

    def fill(self, connection: Any, lost: Callable[[str], Exception], wait_for: set[int]) -> None:
        """Take what the socket has; does not wait."""
        if self.failure is not None or len(self.data) >= RECEIVE_BYTES:
            return
        try:
            received = connection.io.recv(FIRST_BYTES)
            if len(received) == FIRST_BYTES:
                self.data += received
                received = connection.io.recv(RECEIVE_BYTES)
        except OSError as error:
            if error.errno not in wait_for:
                self.failure = lost(f"issue reading on the socket: {error}")
        else:
            self.data += received
            if not received:
                self.failure = lost("the TCP connection was closed by the remote end")

    def length(self, limit: int) -> int:
        """Give the octets of the next message, 0 while it is incomplete; 19 if it is damaged."""
        data = self.data
        if len(data) < HEADER_BYTES:
            return 0
        length = data[16] << 8 | data[17]
        if not data.startswith(MARKER) or not HEADER_BYTES <= length <= limit:
            return HEADER_BYTES
        return length if len(data) >= length else 0

    def take_updates(self, limit: int) -> tuple[bytes, int]:
        """Take the complete UPDATEs at the front, with headers, and count them."""
        data, count, at = self.data, 0, 0
        end = len(data)
        while end - at >= SHORTEST_UPDATE_BYTES:
            length = data[at + 16] << 8 | data[at + 17]
            if data[at + 18] != UPDATE or not SHORTEST_UPDATE_BYTES <= length <= limit:
                break
            if at + length > end or not data.startswith(MARKER, at):
                break
            at += length
            count += 1
        taken = bytes(data[:at])
        del data[:at]
        return taken, count


def inbox_of(connection: Any) -> Inbox:
    """Give the inbox of an ExaBGP connection.

    A new one's socket is also told to send at once: what we announce is small and urgent, and an
    End-of-RIB behind it would wait for the peer's acknowledgement (Nagle).
    """
    found: Inbox | None = connection.__dict__.get("podroute_inbox")
    if found is None:
        found = connection.podroute_inbox = Inbox()
        with contextlib.suppress(OSError):
            connection.io.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found
