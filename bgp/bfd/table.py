"""Table: all sessions, who a packet is for, and whose timer is due. PURE.

The heap holds one entry that counts for each session, never later than its `due_at`: one that
comes too early is put back, so that a packet received usually costs no heap operation.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bgp.bfd.packet import Packet
from bgp.bfd.session import NEVER, SLOW_TX_US, Session, Spec

FIRST_PORT: Final = 49152
LAST_PORT: Final = 65535
"""Source ports of single-hop sessions, unique among ours (RFC 5881 section 4)."""
_LEAVE_INTERVALS: Final = 1.2


class Table:
    """The sessions by name."""

    def __init__(self, chance: Callable[[], int]) -> None:
        """`chance` gives an unpredictable number of 32 bits."""
        self._chance = chance
        self._sessions: dict[str, Session] = {}
        self._by_discriminator: dict[int, Session] = {}
        self._by_peer: dict[tuple[str, int], Session] = {}
        self._heap: list[tuple[float, int, Session]] = []
        self._leaving: dict[str, float] = {}
        self._count = 0

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions, those that are leaving included."""
        return tuple(self._sessions.values())

    @property
    def staying(self) -> tuple[Session, ...]:
        """The sessions that are wanted."""
        return tuple(s for name, s in self._sessions.items() if name not in self._leaving)

    def want(self, specs: Iterable[Spec], now: float) -> None:
        """Make the wanted set this one; a session whose peer stays is kept as it is.

        A session that is no longer wanted says AdminDown for a detection time (RFC 5880
        section 6.8.16) and then goes.
        """
        wanted = {spec.name: spec for spec in specs}
        for name, session in tuple(self._sessions.items()):
            spec = wanted.get(name)
            if spec is None:
                self._leave(name, session, now)
            elif spec.peer != session.spec.peer:
                self._remove(name)
        for name, spec in wanted.items():
            known = self._sessions.get(name)
            if known is None:
                self.add(self._fresh(spec, now))
                continue
            if self._leaving.pop(name, None) is not None:
                known.enable(now)
            known.reconfigure(spec, now)
            self.arm(known)
        self._index()

    def add(self, session: Session) -> None:
        """Take in a session made elsewhere: one that is resumed."""
        self._sessions[session.spec.name] = session
        self._index()
        self.arm(session)

    def find(self, packet: Packet, source: str, ifindex: int) -> Session | None:
        """Give the session a packet is for: by discriminator, and always from its peer's address.

        RFC 5880 section 6.3; the address check keeps others from ending a session.
        """
        if packet.your_discriminator == 0:
            return self._by_peer.get((source, ifindex))
        session = self._by_discriminator.get(packet.your_discriminator)
        if session is None or (session.spec.peer, session.spec.ifindex) != (source, ifindex):
            return None
        return session

    def arm(self, session: Session) -> None:
        """Note that the session may have become due earlier than it was."""
        due_at = session.due_at
        if due_at < session.armed_at:
            session.armed_at = due_at
            self._count += 1
            heapq.heappush(self._heap, (due_at, self._count, session))

    def due_at(self) -> float:
        """Give the time at which `take_due` has something, or may have."""
        leave_at = min(self._leaving.values(), default=NEVER)
        return min(self._heap[0][0], leave_at) if self._heap else leave_at

    def take_due(self, now: float) -> Iterator[Session]:
        """Give each session that is due, once, to act upon; then it is armed again."""
        for name in [name for name, at in self._leaving.items() if at <= now]:
            self._remove(name)
        heap = self._heap
        ripe: list[Session] = []
        while heap and heap[0][0] <= now:
            at, _, session = heapq.heappop(heap)
            if at == session.armed_at:
                session.armed_at = NEVER
                ripe.append(session)
        for session in ripe:
            if self._sessions.get(session.spec.name) is session:
                yield session
                self.arm(session)

    def _fresh(self, spec: Spec, now: float) -> Session:
        mine = 0
        while mine == 0 or mine in self._by_discriminator:
            mine = self._chance()
        return Session(spec, my_discriminator=mine, source_port=self._free_port(), now=now)

    def _free_port(self) -> int:
        taken = {session.source_port for session in self._sessions.values()}
        span = LAST_PORT - FIRST_PORT + 1
        start = self._chance() % span
        for offset in range(span):
            port = FIRST_PORT + (start + offset) % span
            if port not in taken:
                return port
        raise ValueError(f"more than {span} sessions")

    def _leave(self, name: str, session: Session, now: float) -> None:
        if name in self._leaving:
            return
        session.disable(now)
        slowest_us = max(session.remote_detection_us, session.spec.multiplier * SLOW_TX_US)
        self._leaving[name] = now + slowest_us * _LEAVE_INTERVALS * 1e-6
        self.arm(session)

    def _remove(self, name: str) -> None:
        del self._sessions[name]
        self._leaving.pop(name, None)
        self._index()

    def _index(self) -> None:
        sessions = self._sessions.values()
        self._by_discriminator = {session.my_discriminator: session for session in sessions}
        self._by_peer = {(s.spec.peer, s.spec.ifindex): s for s in sessions}
