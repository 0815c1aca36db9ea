"""Sockets inside another network namespace, for this process. SHELL."""

from __future__ import annotations

import ctypes
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")
_CLONE_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def call_in(pid: int, function: Callable[[], T]) -> T:
    """Call a function inside the network namespace of a process; raise what it raises.

    setns(2) moves a thread, and the thread that does so here ends at once; the sockets and threads
    that the function makes stay in the namespace.
    """
    made: list[T] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _LIBC.setns(descriptor, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "cannot enter the node's namespace")
            finally:
                os.close(descriptor)
            made.append(function())
        # Whatever it is, it is the caller's.
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def socket_in(pid: int, family: int = socket.AF_INET) -> socket.socket:
    """Return a TCP socket in the network namespace of a process."""
    return call_in(pid, lambda: socket.socket(family, socket.SOCK_STREAM))


class Connection(http.client.HTTPConnection):
    """HTTP or HTTPS from inside a process's network namespace."""

    def __init__(
        self,
        pid: int,
        address: tuple[str, int],
        *,
        context: ssl.SSLContext | None = None,
        timeout_s: float = 5,
    ) -> None:
        """Connect when first used."""
        super().__init__(*address, timeout=timeout_s)
        self._pid = pid
        self._context = context

    def connect(self) -> None:
        """Connect from inside."""
        sock = socket_in(self._pid)
        sock.settimeout(self.timeout)
        try:
            sock.connect((self.host, self.port))
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
        except OSError:
            sock.close()
            raise
        self.sock = sock
