"""Control: the unix socket on which the agent says what it wants and hears what is. SHELL.

SOCK_SEQPACKET: a datagram is one whole text of `report`. A client that is slow, wrong or gone
costs nothing and changes nothing; sessions live on without any.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bgp.bfd.report import MAX_BYTES, ReportError, parse_wanted
from bgp.bfd.session import Spec

log = logging.getLogger(__name__)

_MAX_CLIENTS: Final = 16
_UCRED: Final = struct.Struct("3i")


class Control:
    """The listening socket and its clients, all non-blocking."""

    def __init__(self, path: Path, watch: Callable[[int], None]) -> None:
        """Listen at `path`, in place of whatever stands there. Raises OSError.

        `watch` gets each new descriptor to receive on.
        """
        self._watch = watch
        self._clients: dict[int, socket.socket] = {}
        self._behind: set[int] = set()
        """Clients that have not taken the newest report yet."""
        path.unlink(missing_ok=True)
        self._listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(_MAX_CLIENTS)
        watch(self._listener.fileno())

    def handle(self, descriptor: int) -> tuple[Spec, ...] | None:
        """Serve what is ready; return the wanted set if one was told."""
        if descriptor == self._listener.fileno():
            self._accept()
            return None
        client = self._clients.get(descriptor)
        return None if client is None else self._read(client)

    def tell(self, report: Callable[[], bytes], *, news: bool) -> None:
        """Send the report to all clients if there is news, else to those still behind."""
        if news:
            self._behind.update(self._clients)
        if not self._behind:
            return
        text = report()
        for descriptor in tuple(self._behind):
            try:
                self._clients[descriptor].send(text, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                continue
            except OSError:
                self._close(descriptor)
            self._behind.discard(descriptor)

    @property
    def has_slow_clients(self) -> bool:
        """Whether somebody has not taken the newest report."""
        return bool(self._behind)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(credentials)
        if uid not in (0, os.geteuid()) or len(self._clients) >= _MAX_CLIENTS:
            log.warning("client refused", extra={"uid": uid, "clients": len(self._clients)})
            client.close()
            return
        self._clients[client.fileno()] = client
        self._behind.add(client.fileno())
        self._watch(client.fileno())

    def _read(self, client: socket.socket) -> tuple[Spec, ...] | None:
        wanted = None
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    text = client.recv(MAX_BYTES + 1)
                except ConnectionError:
                    text = b""
                if not text:
                    self._close(client.fileno())
                    break
                try:
                    wanted = parse_wanted(text)
                except ReportError as error:
                    log.error("wanted set not understood", extra={"reason": str(error)})
        return wanted

    def _close(self, descriptor: int) -> None:
        self._behind.discard(descriptor)
        self._clients.pop(descriptor).close()
