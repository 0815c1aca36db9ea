"""The server's one loop: accept, receive, carry out, answer. SHELL.

Order within a round: first what the kernel tells (addresses become free, names too), then the
callers, then the removals they began, in one batch.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import time
from typing import Final

from cni.server.connection import Connection, is_root
from cni.server.dataplane import Dataplane
from cni.server.replay import Replay
from cni.server.run_watch import RunWatch
from cni.server.service import Service
from cni.wire import Request

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 256
"""More wait in the listen backlog: an honest burst of pod starts just queues."""

TICK_S: Final = 10.0
_BUSY_TICK_S: Final = 1.0


class Loop:
    """Serves until ``stop``."""

    def __init__(
        self,
        service: Service,
        dataplane: Dataplane,
        replay: Replay,
        listener: socket.socket,
        news: RunWatch | None = None,
    ) -> None:
        self._service = service
        self._news = news
        self._dataplane = dataplane
        self._replay = replay
        self._listener = listener
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._watched: set[int] = set()
        self._stopping = False
        self._accepting = False
        self._next_tick_s = 0.0
        self._has_worked = True
        self._epoll.register(dataplane.fileno(), select.EPOLLIN)
        if news is not None and (descriptor := news.fileno()) is not None:
            self.watch(descriptor)

    def watch(self, descriptor: int) -> None:
        """Also wake up when this descriptor is readable (the signal wake-up socket)."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def stop(self) -> None:
        """End ``run`` after the callers that are here have their answers."""
        self._stopping = True

    def run(self) -> None:
        """Serve until ``stop`` is called by a signal handler."""
        self._set_accepting(True)
        self._replay.run()
        self._service.flush()
        while not self._stopping:
            self._round(self._timeout_s())

    def finish(self, deadline_s: float) -> None:
        """Answer those who connected before the socket's name was removed, bounded in seconds."""
        until = time.monotonic() + deadline_s
        self._accept()
        self._set_accepting(False)
        while (self._connections or self._service.pending) and time.monotonic() < until:
            self._round(0.05)
        for connection in list(self._connections.values()):
            self._close(connection)
        while self._service.may_rest:
            self._service.rest()
        self._epoll.close()

    def _timeout_s(self) -> float:
        if self._has_worked or self._service.may_rest:
            # Only look who is there: if nobody, there is time for what nobody waits for.
            return 0.0
        until_tick_s = _BUSY_TICK_S if self._connections else TICK_S
        repair_in_s = self._service.repair_in_s
        return until_tick_s if repair_in_s is None else min(until_tick_s, repair_in_s)

    def _round(self, timeout_s: float) -> None:
        events = self._epoll.poll(timeout_s)
        kernel = self._dataplane.fileno()
        listener = self._listener.fileno()
        if any(descriptor == kernel for descriptor, _ in events):
            self._service.collect()
        for descriptor, mask in events:
            if descriptor == listener:
                self._accept()
            elif self._news is not None and descriptor == self._news.fileno():
                self._hear()
            elif descriptor in self._connections:
                self._progress(self._connections[descriptor], mask)
        if events:
            self._has_worked = True
        else:
            self._rest()
        now_s = time.monotonic()
        if now_s >= self._next_tick_s:
            self._tick(now_s)
        self._service.repair()
        self._service.flush()

    def _hear(self) -> None:
        """Take note of what the agent or a shim has put down by now."""
        if self._news is not None and self._news.look():
            self._service.refresh()

    def _rest(self) -> None:
        """Do what nobody waits for: a burst's log lines cost as much as two of its ADDs."""
        self._service.rest()
        if self._has_worked:
            self._has_worked = False
            for handler in logging.getLogger().handlers:
                handler.flush()

    def _tick(self, now_s: float) -> None:
        self._has_worked = True
        self._next_tick_s = now_s + (_BUSY_TICK_S if self._connections else TICK_S)
        if self._news is not None:
            self._news.doubt()
        self._service.refresh()
        self._service.sweep()
        self._replay.remove_abandoned()
        self._replay.run()
        for connection in list(self._connections.values()):
            if now_s > connection.deadline_s:
                log.warning("connection timed out", extra={"asked": connection.asked})
                self._close(connection)

    # Connections

    def _set_accepting(self, accepting: bool) -> None:
        if accepting != self._accepting:
            self._accepting = accepting
            if accepting:
                self._epoll.register(self._listener.fileno(), select.EPOLLIN)
            else:
                self._epoll.unregister(self._listener.fileno())

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._connections) < MAX_CONNECTIONS:
                try:
                    accepted, _ = self._listener.accept()
                except ConnectionAbortedError:
                    continue
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        raise
                    # Out of descriptors or memory: the callers keep waiting in the backlog.
                    log.error("cannot accept", extra={"errno": error.errno})
                    return
                if not is_root(accepted):
                    log.warning("connection refused", extra={"reason": "not root"})
                    accepted.close()
                    continue
                connection = Connection(accepted, time.monotonic(), self._replied)
                self._connections[connection.fileno()] = connection
                # The request is nearly always there, and an ADD answered in this very call.
                self._progress(connection, select.EPOLLIN)
                if not connection.finished:
                    self._watch(connection)
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            self._set_accepting(False)

    def _watch(self, connection: Connection) -> None:
        """Wake up for this connection: for its request, or for room for its answer."""
        waits_for = select.EPOLLOUT if connection.answered else select.EPOLLIN | select.EPOLLRDHUP
        self._epoll.register(connection.fileno(), waits_for)
        self._watched.add(connection.fileno())

    def _progress(self, connection: Connection, mask: int) -> None:
        if connection.answered:
            connection.send()
        elif not connection.asked:
            request = connection.receive(time.monotonic())
            if request is not None:
                self._ask(connection, request)
        elif mask & (select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR):
            # It left before its answer. A DEL goes on; an ADD that still waits will notice.
            self._close(connection)
        else:
            # Bytes behind a request: never read, so that they must not wake us up again and again.
            self._epoll.modify(connection.fileno(), select.EPOLLRDHUP)
        if connection.finished:
            self._close(connection)

    def _ask(self, connection: Connection, request: Request) -> None:
        command = request.variables.get("CNI_COMMAND")
        if command != "DEL":
            self._hear()
        if command == "ADD":
            # A DEL that was spooled before this ADD must not meet what the ADD makes.
            self._replay.run()
        self._service.handle(request, connection)

    def _replied(self, connection: Connection) -> None:
        """Close a connection that has its answer, or wait until the rest of it fits."""
        if connection.finished:
            self._close(connection)
        elif connection.fileno() in self._watched:
            self._epoll.modify(connection.fileno(), select.EPOLLOUT)

    def _close(self, connection: Connection) -> None:
        descriptor = connection.fileno()
        if self._connections.get(descriptor) is connection:
            del self._connections[descriptor]
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._epoll.unregister(descriptor)
        connection.close()
        if not self._stopping and len(self._connections) < MAX_CONNECTIONS:
            self._set_accepting(True)
