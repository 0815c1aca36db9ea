"""BfdLink: the agent's end of the BFD daemon's socket. SHELL.

A thread keeps the connection and takes reports off it; the loop only reads the latest one. While
the daemon is away, what it said last stands: it is back within milliseconds, and its death says
nothing about any path.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from bgp.bfd.report import MAX_BYTES, DaemonReport, ReportError, parse_report, render_wanted
from bgp.bfd.session import Spec

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 1.0
_SEND_S: Final = 1.0


class BfdShell(Protocol):
    """Watches paths; `BfdLink` is the real one."""

    def want(self, specs: Iterable[Spec]) -> None:
        """Make these the sessions that the daemon has."""

    @property
    def report(self) -> DaemonReport | None:
        """What the daemon said last; None before it ever did."""

    @property
    def problem(self) -> str:
        """Why the daemon cannot be reached now; "" if it can."""


class NoBfd:
    """A node without a BFD daemon."""

    report: DaemonReport | None = None
    problem = "there is no BFD daemon"

    def want(self, specs: Iterable[Spec]) -> None:
        """Do nothing."""


class BfdLink:
    """See above. `want` and the properties belong to the loop's thread."""

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        """Start connecting; `wake` is called from the link's thread at every report."""
        self._path = path
        self._wake = wake
        self._lock = threading.Lock()
        self._wanted: bytes | None = None
        self._socket: socket.socket | None = None
        self._closing = threading.Event()
        self.report: DaemonReport | None = None
        self.problem = f"not connected to {path} yet"
        self._thread = threading.Thread(target=self._keep, name="bfd-link", daemon=True)
        self._thread.start()

    def want(self, specs: Iterable[Spec]) -> None:
        """Make these the sessions that the daemon has, now or when it is there."""
        text = render_wanted(specs)
        with self._lock:
            if text != self._wanted:
                self._wanted = text
                self._send()

    def close(self, *, leaving: bool) -> None:
        """Disconnect; the sessions stay as they are, or say AdminDown if we are leaving."""
        self._closing.set()
        if leaving:
            self.want(())
        with self._lock:
            self._hang_up()
        self._thread.join(timeout=5)

    def _keep(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing.is_set():
            try:
                connection = self._connect()
            except OSError as error:
                self._note(f"no answer at {self._path}: {error.strerror}")
                self._closing.wait(pause_s)
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
                continue
            pause_s = _FIRST_PAUSE_S
            with contextlib.suppress(OSError):
                self._listen(connection)
            with self._lock:
                self._hang_up()

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        try:
            connection.connect(str(self._path))
            connection.settimeout(None)
        except OSError:
            connection.close()
            raise
        with self._lock:
            self._socket = connection
            self._send()
        return connection

    def _listen(self, connection: socket.socket) -> None:
        while text := connection.recv(MAX_BYTES):
            try:
                self.report = parse_report(text)
            except ReportError as error:
                self._note(f"the daemon is not understood: {error}")
                continue
            self._note("")
            self._wake()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._wake()

    def _send(self) -> None:
        if self._socket is None or self._wanted is None:
            return
        try:
            self._socket.send(self._wanted, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
        except OSError:
            # Connecting again sends it again.
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
