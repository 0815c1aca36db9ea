"""The listener of the status page. SHELL.

Every connection has one request, a bounded time for it and a thread; there are a bounded number of
them. Whoever connects and says nothing gives way to whoever comes after him. Nothing here touches
the agent's loop: what is asked of it is asked by `answers`, with a bound.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from router.agent.door import Door
from router.agent.page.wire import MOST_HEAD_BYTES, Refused, Reply, Request, read_head, refusal

_log = logging.getLogger(__name__)
MOST_CONNECTIONS: Final = 24
_READ_S: Final = 5.0
"""For the whole request."""
_WRITE_S: Final = 10.0
"""For the whole answer."""
_LINGER_S: Final = 0.5
_LINGER_BYTES: Final = 64 * 1024
_ACCEPT_PAUSE_S: Final = 0.1

Answerer = Callable[[Request], Reply]
"""Answers in a thread of the connection's own. Raises Refused."""


class _Listener:
    """One listening socket and its connections."""

    def __init__(self, address: tuple[str, int], answer: Answerer) -> None:
        """Listen at once. Raises OSError."""
        self._answer = answer
        self._lock = threading.Lock()
        self._reading: dict[socket.socket, None] = {}
        """Those who have not said what they want, the oldest first."""
        self._count = 0
        self._closed = False
        family = socket.AF_INET6 if ip_address(address[0]).version == 6 else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=64)
        threading.Thread(target=self._accept, name="page", daemon=True).start()

    def close(self) -> None:
        """Stop listening; what is being answered ends by itself."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if not self._closed:  # out of descriptors, or the client is gone again
                    time.sleep(_ACCEPT_PAUSE_S)
                continue
            if self._take(connection):
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        """Serve in a thread; where there can be no more of them, this one caller goes without."""
        serving = threading.Thread(
            target=self._serve, args=(connection,), name="page-request", daemon=True
        )
        try:
            serving.start()
        except RuntimeError as error:
            _log.warning("request of the page not served", extra={"error": str(error)})
            connection.close()
            self._leave(connection)

    def _take(self, connection: socket.socket) -> bool:
        """Make room for one more; False if all are being answered."""
        with self._lock:
            if self._count < MOST_CONNECTIONS:
                self._count += 1
                self._reading[connection] = None
                return True
            oldest = next(iter(self._reading), None)
            if oldest is not None:
                del self._reading[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
                self._count += 1
                self._reading[connection] = None
                return True
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(refusal(Refused(503, "too many ask at once")).render(None))
        connection.close()
        return False

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._converse(connection)
        except OSError:
            _log.debug("request of the page failed", exc_info=True)
        finally:
            self._leave(connection)

    def _leave(self, connection: socket.socket) -> None:
        with self._lock:
            self._count -= 1
            self._reading.pop(connection, None)

    def _converse(self, connection: socket.socket) -> None:
        request: Request | None = None
        try:
            head = _read_head(connection)
            with self._lock:
                self._reading.pop(connection, None)
            if head is None:
                return
            request = read_head(head)
            reply = self._answer(request)
        except Refused as error:
            reply = refusal(error)
        except Exception:
            _log.exception("the status page cannot answer")
            reply = refusal(Refused(500, "the agent's log has the reason"))
        connection.settimeout(_WRITE_S)
        connection.sendall(reply.render(request))
        _linger(connection)


def _read_head(connection: socket.socket) -> bytes | None:
    """Return a request up to its empty line; None if it ends before. Raises Refused, OSError."""
    end = time.monotonic() + _READ_S
    received = bytearray()
    while b"\r\n\r\n" not in received:
        if len(received) > MOST_HEAD_BYTES:
            raise Refused(431, f"a request has at most {MOST_HEAD_BYTES} bytes")
        connection.settimeout(max(0.001, end - time.monotonic()))
        try:
            data = connection.recv(4096)
        except TimeoutError:
            raise Refused(408, f"a request takes at most {_READ_S:g} s") from None
        if not data:
            return None
        received += data
    return bytes(received).partition(b"\r\n\r\n")[0]


def _linger(connection: socket.socket) -> None:
    """Take in what is still sent: closing over unread bytes would take the answer away."""
    connection.shutdown(socket.SHUT_WR)
    end = time.monotonic() + _LINGER_S
    taken = 0
    while taken < _LINGER_BYTES and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        data = connection.recv(4096)
        if not data:
            return
        taken += len(data)


def page_door(answer: Answerer) -> Door:
    """Return the door of the status page."""
    return Door("the status page", "page.listen", lambda address: _Listener(address, answer))
