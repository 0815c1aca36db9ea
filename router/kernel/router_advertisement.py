"""Send and hear router advertisements on the links of peers by interface. SHELL.

A ToR that peers by interface (RFC 8950 as FRR does it) learns our address from our advertisements,
and we learn its address from its own. Each port has a socket bound to its link, so that nothing is
heard or sent on any other. The kernel's `accept_ra` does not matter to raw sockets.

Everything happens in a thread of its own; the loop says what it wants and reads what was heard.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from typing import Final

from router.kernel.router_advertisement_wire import (
    ADVERTISEMENT,
    ALL_NODES,
    ALL_ROUTERS,
    FILTER,
    HOP_LIMIT,
    SOLICITATION,
    Kind,
    read,
)
from router.model.unnumbered import Port, Routers
from router.reconcile.routers import Audience, hear, settle

_log = logging.getLogger(__name__)

ADVERTISE_S: Final = 3.0
"""Between advertisements: an FRR that was restarted finds us again within this time."""
SOLICIT_S: Final = 1.0
"""Between solicitations while no router was heard, or it is not clear which one is there."""
ANSWER_S: Final = 0.1
"""Shortest time between two answers to solicitations on one port."""
RETRY_S: Final = 1.0

_ICMP6_FILTER: Final = 1
_IN6_PKTINFO: Final = struct.Struct("=16sI")
_INT: Final = struct.Struct("=i")
_MAX_BYTES: Final = 2048
_MAX_MESSAGES: Final = 64
"""Read on one port before others have their turn, whatever comes."""


class _Ear:
    """One port: its socket and what was heard on it."""

    def __init__(self, name: str, port: Port, audience: Audience) -> None:
        """Open and join; `audience` was heard before on the same link. Raises OSError."""
        self.port = port
        self.audience = audience
        self.problem = ""
        """Why the last message was not sent."""
        self.advertise_at = 0.0
        self.solicit_at = 0.0
        self._answered_at = 0.0
        self._source = _IN6_PKTINFO.pack(port.own.packed, port.ifindex)
        self.socket = socket.socket(
            socket.AF_INET6,
            socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
            socket.IPPROTO_ICMPV6,
        )
        try:
            self._prepare(name)
        except OSError:
            self.socket.close()
            raise

    def _prepare(self, name: str) -> None:
        set_option = self.socket.setsockopt
        set_option(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
        set_option(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, FILTER)
        set_option(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        set_option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOP_LIMIT)
        set_option(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOP_LIMIT)
        set_option(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + _INT.pack(self.port.ifindex)
        # The kernel joins it by itself only where it forwards.
        set_option(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def send(self, message: bytes, target: str) -> None:
        """Send from our own address; what was heard stays whatever becomes of it."""
        source = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, self._source)
        try:
            self.socket.sendmsg([message], [source], 0, (target, 0, 0, self.port.ifindex))
        except OSError as error:
            # EPERM is a firewall's; ENETDOWN and EADDRNOTAVAIL come before the loop has looked.
            self.problem = error.strerror or str(error)
        else:
            self.problem = ""

    def receive(self, now: float) -> None:
        """Take all that has come. Raises OSError."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MAX_MESSAGES):
                message, extra, _, sender = self.socket.recvmsg(_MAX_BYTES, 64)
                source = IPv6Address(sender[0].partition("%")[0])
                kind = read(message, source, _hop_limit(extra))
                if kind is Kind.ADVERTISEMENT and source != self.port.own:
                    self._hear(source, now)
                elif kind is Kind.SOLICITATION and now - self._answered_at >= ANSWER_S:
                    self._answered_at = now
                    self.send(ADVERTISEMENT, str(source))

    def _hear(self, router: IPv6Address, now: float) -> None:
        known = router == self.audience.router or router in self.audience.others
        self.audience = hear(self.audience, router, now)
        if not known and self.audience.router != router:
            # Is the one we know still there?
            self.solicit_at = now

    def turn(self, now: float) -> float:
        """Say what is due and return when to turn again."""
        self.audience = settle(self.audience, now)
        if now >= self.advertise_at:
            self.advertise_at = now + ADVERTISE_S
            self.send(ADVERTISEMENT, ALL_NODES)
        asks = self.audience.router is None or bool(self.audience.others)
        if asks and now >= self.solicit_at:
            self.solicit_at = now + SOLICIT_S
            self.send(SOLICITATION, ALL_ROUTERS)
        return min(self.advertise_at, self.solicit_at) if asks else self.advertise_at

    def routers(self) -> Routers:
        """Return who is there."""
        return Routers(self.audience.router, self.audience.living, self.problem)


class RouterAdvertisements:
    """The ports and their thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Send and hear nothing yet; `wake` is called from the thread when `heard` changes."""
        self._wake = wake
        self._wanted: Mapping[str, Port] = {}
        self._ears: dict[str, _Ear] = {}
        self._broken: dict[str, tuple[Port, float, str]] = {}
        """Ports that could not be opened: when to try again, and why."""
        self._closing = False
        self._poke = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread: threading.Thread | None = None
        self._ended_by: BaseException | None = None
        self.heard: Mapping[str, Routers] = {}
        """Per port who was heard since it was asked for last; replaced, never changed."""

    def want(self, ports: Mapping[str, Port]) -> None:
        """Send and listen on these links and no others; idempotent.

        Who was heard on a link that was not wanted in between is forgotten. Raises RuntimeError
        when the thread has ended by a fault: no loop may go on without knowing.
        """
        if self._ended_by is not None:
            raise RuntimeError("the thread of router advertisements ended") from self._ended_by
        if ports == self._wanted:
            return
        self._wanted = dict(ports)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="advertisements", daemon=True)
            self._thread.start()
        os.eventfd_write(self._poke, 1)

    def close(self) -> None:
        """Stop."""
        self._closing = True
        if self._thread is not None:
            os.eventfd_write(self._poke, 1)
            self._thread.join(timeout=5)
        os.close(self._poke)

    def _run(self) -> None:
        try:
            self._exchange()
        except BaseException as fault:
            self._ended_by = fault
            self._wake()
            raise

    def _exchange(self) -> None:
        while not self._closing:
            now = time.monotonic()
            self._follow(now)
            due = [self._turn(ear, now) for ear in self._ears.values()]
            due += [at for _, at, _ in self._broken.values()]
            self._tell()
            self._wait(min(due, default=now + 60.0) - now)
        for name in tuple(self._ears):
            self._drop(name)

    def _wait(self, pause_s: float) -> None:
        poller = select.poll()
        poller.register(self._poke, select.POLLIN)
        for ear in self._ears.values():
            poller.register(ear.socket, select.POLLIN)
        poller.poll(max(0.0, pause_s) * 1000 + 1)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._poke)

    def _follow(self, now: float) -> None:
        """Open and close ports as wanted."""
        wanted = self._wanted
        heard: dict[tuple[str, int], Audience] = {}
        for name, ear in tuple(self._ears.items()):
            if wanted.get(name) != ear.port:
                # Another address of ours does not change who is at the other end.
                heard[name, ear.port.ifindex] = ear.audience
                self._drop(name)
        self._broken = {n: b for n, b in self._broken.items() if wanted.get(n) == b[0]}
        for name, port in wanted.items():
            if name in self._ears or (name in self._broken and now < self._broken[name][1]):
                continue
            try:
                known = heard.get((name, port.ifindex), Audience())
                self._ears[name] = _Ear(name, port, known)
                self._broken.pop(name, None)
            except OSError as error:
                self._fail(name, port, now, error)

    @staticmethod
    def _turn(ear: _Ear, now: float) -> float:
        # An error that waits on the socket is over when it has been read.
        with contextlib.suppress(OSError):
            ear.receive(now)
        return ear.turn(now)

    def _fail(self, name: str, port: Port, now: float, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self._broken.get(name, (port, 0.0, ""))[2] != reason:
            fields = {"link": name, "reason": reason}
            _log.warning("router advertisements cannot be exchanged", extra=fields)
        self._broken[name] = (port, now + RETRY_S, reason)

    def _drop(self, name: str) -> None:
        self._ears.pop(name).socket.close()

    def _tell(self) -> None:
        heard = {name: ear.routers() for name, ear in self._ears.items()}
        for name, (_, _, reason) in self._broken.items():
            heard[name] = Routers(problem=reason)
        if heard != self.heard:
            self.heard = heard
            self._wake()


def _hop_limit(extra: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in extra:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_HOPLIMIT and len(data) >= 4:
            return int(_INT.unpack_from(data)[0])
    return 0
