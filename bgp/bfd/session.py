"""Session: one BFD session's state, timers and packets (RFC 5880 section 6.8). PURE.

Time is given in: monotonic seconds as a float. Chance is given in: a number in [0, 1) for the
jitter. Intervals are microseconds, as on the wire.

A session is changed in place: at 64 sessions of 20 ms, building a new value for each packet
would be the daemon's largest cost.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from bgp.bfd.packet import Packet
from bgp.bfd.state import RECEIVED, TRANSITIONS, WORDS, Diagnostic, Input, State

SLOW_TX_US: Final = 1_000_000
"""Least desired transmit interval while not Up (RFC 5880 section 6.8.3)."""
NEVER: Final = float("inf")
_MICRO: Final = 1e-6


class Verdict(StrEnum):
    """What the session says about the path to those who use it (RFC 5882 section 4.2)."""

    UNKNOWN = "unknown"
    """Never up, or one side does not want BFD now: no reason to distrust the path."""
    ALIVE = "alive"
    LOST = "lost"
    """It was up and is not any more, and nobody asked for that."""


class Spec(NamedTuple):
    """What a session is told to do; addresses are text as `inet_ntop` writes it."""

    name: str
    """The peer's name, unique."""
    peer: str
    local: str
    ifindex: int
    """The link it belongs to: packets leave and arrive on no other (RFC 5881 section 4)."""
    interval_us: int
    multiplier: int


class Session:
    """One session. `due_at` says when `transmit` or `expire` has something to do."""

    __slots__ = (
        "active_rx_us",
        "active_tx_us",
        "armed_at",
        "changed_at",
        "desired_tx_us",
        "detect_at",
        "diagnostic",
        "downs",
        "last_tx",
        "lost_at",
        "my_discriminator",
        "next_tx",
        "owes_final",
        "polling",
        "reason",
        "remote_demand",
        "remote_diagnostic",
        "remote_multiplier",
        "remote_rx_us",
        "remote_state",
        "remote_tx_us",
        "source_port",
        "spec",
        "state",
        "ups",
        "verdict",
        "your_discriminator",
    )

    def __init__(self, spec: Spec, *, my_discriminator: int, source_port: int, now: float) -> None:
        """Begin in state Down; the first packet is due now."""
        self.spec = spec
        self.my_discriminator = my_discriminator
        self.source_port = source_port
        self.state = State.DOWN
        self.diagnostic: int = Diagnostic.NONE
        self.verdict = Verdict.UNKNOWN
        self.reason = ""
        """Why it last left Up, in words."""
        self.changed_at = now
        self.lost_at: float | None = None
        """When `verdict` became LOST; None unless it is."""
        self.ups = self.downs = 0
        self.your_discriminator = 0
        self.remote_state = State.DOWN
        self.remote_diagnostic = 0
        self.remote_multiplier = 0
        self.remote_rx_us = 1
        self.remote_tx_us = 0
        self.remote_demand = False
        self.desired_tx_us = max(SLOW_TX_US, spec.interval_us)
        self.active_tx_us = self.desired_tx_us
        """What is sent by: follows `desired_tx_us`, after a poll sequence if that grew."""
        self.active_rx_us = spec.interval_us
        """What detection counts by: follows the spec, after a poll sequence if that shrank."""
        self.polling = False
        self.owes_final = False
        self.last_tx = now
        self.next_tx = now
        self.detect_at = NEVER
        self.armed_at = NEVER
        """The table's: when it will look at this session."""

    @property
    def due_at(self) -> float:
        """When something is due at the latest, if no packet arrives."""
        return min(self.next_tx, self.detect_at)

    @property
    def tx_interval_us(self) -> int:
        """Interval between our packets before jitter; 0 when none may be sent by timer."""
        if self.remote_rx_us == 0:
            return 0
        if self.remote_demand and self.state is State.UP and self.remote_state is State.UP:
            return self.active_tx_us if self.polling else 0
        return max(self.active_tx_us, self.remote_rx_us)

    @property
    def detection_us(self) -> int:
        """Silence after which the peer counts as lost (RFC 5880 section 6.8.4)."""
        return self.remote_multiplier * max(self.active_rx_us, self.remote_tx_us)

    @property
    def remote_detection_us(self) -> int:
        """Silence of ours after which the peer gives the session up."""
        return self.spec.multiplier * max(self.active_tx_us, self.remote_rx_us)

    def receive(self, packet: Packet, now: float) -> bool:
        """Take a packet that is for this session; tell whether the state changed."""
        self.your_discriminator = packet.my_discriminator
        self.remote_state = packet.state
        self.remote_diagnostic = packet.diagnostic
        self.remote_multiplier = packet.multiplier
        self.remote_tx_us = packet.desired_tx_us
        if packet.final and self.polling:
            self._end_poll()
        wants = (packet.required_rx_us, packet.demand)
        if wants != (self.remote_rx_us, self.remote_demand):
            self.remote_rx_us, self.remote_demand = wants
            self._rearm(now)
        if self.state is State.ADMIN_DOWN:
            return False
        self.detect_at = now + self.detection_us * _MICRO
        if packet.poll:
            self.owes_final = True
        changed = self._move(RECEIVED[packet.state], now)
        if self.verdict is Verdict.LOST and packet.state is State.ADMIN_DOWN:
            self._judge(Verdict.UNKNOWN, now)
            return True
        return changed

    def expire(self, now: float) -> bool:
        """Give the peer up if it has been silent too long; tell whether the state changed.

        `now` must have been read before the sockets were last drained: a late process must not
        blame the peer for what lies unread in its own queue.
        """
        if now < self.detect_at:
            return False
        self.detect_at = NEVER
        self.your_discriminator = 0
        return self._move(Input.EXPIRED, now)

    def transmit(self, now: float, chance: float) -> Packet | None:
        """Give the packet that is due, if any, and set the time of the next."""
        if now < self.next_tx:
            return None
        interval_us = self.tx_interval_us
        if interval_us == 0:
            self.next_tx = NEVER
            return None
        self.last_tx = now
        # RFC 5880 section 6.8.7: 75 to 100 % of the interval, to 90 % if one loss is a failure.
        spread = 0.25 if self.spec.multiplier > 1 else 0.15
        self.next_tx = now + interval_us * _MICRO * (0.75 + spread * chance)
        return self._packet(final=False)

    def answer(self) -> Packet | None:
        """Give the final packet if a poll awaits one; it follows no timer."""
        if not self.owes_final:
            return None
        self.owes_final = False
        return self._packet(final=True)

    def reconfigure(self, spec: Spec, now: float) -> None:
        """Take a new spec of the same peer; a session that is Up stays so."""
        if spec == self.spec:
            return
        before, self.spec = self.spec, spec
        if self.state is State.UP:
            self._want_tx(spec.interval_us)
            if spec.interval_us > before.interval_us:
                self.active_rx_us = spec.interval_us
        else:
            self.active_rx_us = spec.interval_us
            self._want_tx(max(SLOW_TX_US, spec.interval_us))
        self.polling = self.state is State.UP
        self.next_tx = now

    def disable(self, now: float) -> bool:
        """Say AdminDown from now on; tell whether the state changed."""
        return self._move(Input.DISABLE, now)

    def enable(self, now: float) -> bool:
        """Take `disable` back; tell whether the state changed."""
        return self._move(Input.ENABLE, now)

    def _move(self, given: Input, now: float) -> bool:
        move = TRANSITIONS[self.state, given]
        if move.state is self.state:
            return False
        before, self.state = self.state, move.state
        self.diagnostic = move.diagnostic
        self.changed_at = self.next_tx = now
        if before is State.UP:
            self._went_down()
        if self.state is State.UP:
            self.ups += 1
            self._want_tx(self.spec.interval_us)
            self.polling = True
            self._judge(Verdict.ALIVE, now)
        else:
            self._want_tx(max(SLOW_TX_US, self.spec.interval_us))
            self._end_poll()
            if self.state is State.ADMIN_DOWN:
                self.detect_at = NEVER
                self._judge(Verdict.UNKNOWN, now)
            elif self.verdict is Verdict.ALIVE:
                wished = self.remote_state is State.ADMIN_DOWN and given is not Input.EXPIRED
                self._judge(Verdict.UNKNOWN if wished else Verdict.LOST, now)
        return True

    def _went_down(self) -> None:
        self.downs += 1
        self.reason = WORDS[self.diagnostic]
        if self.diagnostic == Diagnostic.NEIGHBOR_DOWN:
            told = self.remote_diagnostic
            why = WORDS[told] if told < len(WORDS) else f"diagnostic {told}"
            self.reason += f" ({self.remote_state.name.lower().replace('_', ' ')}: {why})"

    def _judge(self, verdict: Verdict, now: float) -> None:
        self.verdict = verdict
        self.lost_at = now if verdict is Verdict.LOST else None

    def _want_tx(self, desired_us: int) -> None:
        self.desired_tx_us = desired_us
        if self.state is not State.UP or desired_us < self.active_tx_us:
            self.active_tx_us = desired_us

    def _end_poll(self) -> None:
        self.polling = False
        self.active_tx_us = self.desired_tx_us
        self.active_rx_us = self.spec.interval_us

    def _rearm(self, now: float) -> None:
        """Send earlier if the peer now wants packets more often than we had planned."""
        interval_us = self.tx_interval_us
        if interval_us:
            self.next_tx = min(self.next_tx, max(now, self.last_tx + interval_us * _MICRO * 0.75))

    def _packet(self, *, final: bool) -> Packet:
        return Packet(
            self.state,
            self.diagnostic,
            self.spec.multiplier,
            self.my_discriminator,
            self.your_discriminator,
            self.desired_tx_us,
            self.spec.interval_us,
            poll=self.polling and not final,
            final=final,
            independent=True,
        )
