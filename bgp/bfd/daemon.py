"""The BFD daemon: one epoll loop over packets, timers and the agent. SHELL.

Before a detection timer fires, every socket is drained, and the timer is judged by a clock read
before that: however late we wake, a packet that had arrived counts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bgp.bfd.control import Control
from bgp.bfd.packet import Packet
from bgp.bfd.priority import lock_memory, raise_priority
from bgp.bfd.report import render_report
from bgp.bfd.saved import SavedError
from bgp.bfd.session import Session, Spec
from bgp.bfd.sockets import Sockets
from bgp.bfd.state import State
from bgp.bfd.store import Store
from bgp.bfd.table import Table

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
"""How often sockets that could not be opened are tried again."""
_LONGEST_SLEEP_S: Final = 1.0
_SLOW_CLIENT_S: Final = 0.05
_DICE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Where the daemon lives."""

    directory: Path
    """Its own directory, on tmpfs."""

    @property
    def control_path(self) -> Path:
        """Where the agent finds it."""
        return self.directory / "control.sock"


class Daemon:
    """Everything one process does; `run` until SIGTERM or SIGINT."""

    def __init__(self, settings: DaemonSettings) -> None:
        """Resume what was saved. Raises AlreadyRunningError or OSError."""
        self._store = Store(settings.directory)
        self._epoll = select.epoll()
        self._table = Table(lambda: int.from_bytes(os.urandom(4), "big"))
        self._sockets = Sockets(self._watch, self._receive)
        self._control = Control(settings.control_path, self._watch)
        self._now = time.monotonic()
        self._dice = bytearray()
        self._news = True
        self._retry_at = 0.0
        self._ending = False
        self._resume()
        self._priority = raise_priority()
        self._memory = lock_memory()
        log.info(
            "bfd daemon started",
            extra={
                "sessions": len(self._table.sessions),
                "resumed": sum(s.state is State.UP for s in self._table.sessions),
                "priority": self._priority,
                "memory": self._memory,
            },
        )

    def run(self) -> int:
        """Turn the loop; return the exit status.

        Ends without a word to the peers: whoever starts it again in time is not noticed.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        # A signal between the look at the flag and the wait would else go unseen for a second.
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        self._watch(reader)
        while not self._ending:
            self._turn(self._epoll.poll(self._sleep_s()))
        log.info("bfd daemon ends", extra={"sessions": len(self._table.sessions)})
        return 0

    def _end(self, *_: object) -> None:
        self._ending = True

    def _watch(self, descriptor: int) -> None:
        self._epoll.register(descriptor, select.EPOLLIN)

    def _sleep_s(self) -> float:
        due_at = min(self._table.due_at(), self._now + _LONGEST_SLEEP_S)
        if self._control.has_slow_clients:
            due_at = min(due_at, self._now + _SLOW_CLIENT_S)
        return max(0.0, due_at - time.monotonic())

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        self._now = now = time.monotonic()
        for descriptor, _ in ready:
            if not self._sockets.read(descriptor):
                wanted = self._control.handle(descriptor)
                if wanted is not None:
                    self._want(wanted, now)
        self._fire(now)
        if self._retry_at <= now:
            self._follow(now)
        self._store.stamp(now)
        if self._news:
            self._save()
        if self._news or self._control.has_slow_clients:
            self._control.tell(self._report, news=self._news)
            self._news = False

    def _fire(self, now: float) -> None:
        drained = False
        for session in self._table.take_due(now):
            if session.detect_at <= now:
                if not drained:
                    self._sockets.drain()
                    drained = True
                if session.expire(now):
                    self._changed(session)
            packet = session.transmit(now, self._chance())
            if packet is not None:
                self._sockets.send(session, packet)

    def _chance(self) -> float:
        """Return a number in [0, 1): unpredictable jitter, one system call for many."""
        if not self._dice:
            self._dice = bytearray(os.urandom(_DICE))
        return self._dice.pop() / 256

    def _receive(self, packet: Packet, source: str, ifindex: int) -> None:
        session = self._table.find(packet, source, ifindex)
        if session is None:
            return
        before = (session.tx_interval_us, session.detection_us, session.your_discriminator)
        if session.receive(packet, self._now):
            self._changed(session)
        elif before != (session.tx_interval_us, session.detection_us, session.your_discriminator):
            self._news = True
        answer = session.answer()
        if answer is not None:
            self._sockets.send(session, answer)
        self._table.arm(session)

    def _want(self, wanted: tuple[Spec, ...], now: float) -> None:
        before = {session.spec for session in self._table.staying}
        if set(wanted) == before:
            return
        self._table.want(wanted, now)
        self._follow(now)
        self._news = True
        log.info("wanted sessions changed", extra={"sessions": len(wanted)})

    def _follow(self, now: float) -> None:
        complete = self._sockets.follow(self._table.sessions)
        self._retry_at = now + _RETRY_S
        if complete and len(self._table.staying) == len(self._table.sessions):
            self._retry_at = float("inf")

    def _changed(self, session: Session) -> None:
        self._news = True
        log.info(
            "bfd session changed",
            extra={
                "peer": session.spec.name,
                "state": session.state.name.lower(),
                "verdict": session.verdict.value,
                "reason": session.reason,
            },
        )

    def _resume(self) -> None:
        now = time.monotonic()
        try:
            for session in self._store.load(now):
                self._table.add(session)
        except (OSError, SavedError) as error:
            log.error("saved sessions not used", extra={"reason": str(error)})
        self._follow(now)

    def _save(self) -> None:
        try:
            self._store.save(self._table.staying)
        except OSError as error:
            log.error("state not saved: a restart will be noticed", extra={"error": str(error)})

    def _report(self) -> bytes:
        return render_report(
            self._table.staying, pid=os.getpid(), priority=self._priority, memory=self._memory
        )


def run_daemon(settings: DaemonSettings) -> int:
    """Run one daemon until it is told to stop; return the exit status."""
    with contextlib.suppress(KeyboardInterrupt):
        return Daemon(settings).run()
    return 130
