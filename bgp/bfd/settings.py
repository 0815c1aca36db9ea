"""BfdProfile: how closely the path to a peer is watched. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIN_INTERVAL_MS: Final = 20
"""Shorter ones fail on a busy node whatever the priority (research: 20 ms with 64 sessions)."""
MAX_INTERVAL_MS: Final = 60_000
MAX_MULTIPLIER: Final = 255
"""Eight bits on the wire (RFC 5880 section 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BfdProfile:
    """Timers of one session, and what BGP owes to it. Raises ValueError out of range."""

    interval_ms: int = 300
    """Desired transmit and required receive interval; 300 survives a restart of the daemon."""
    multiplier: int = 3
    """Intervals without a packet after which the path is dead."""
    required: bool = False
    """Use no path of the peer while BFD is not Up; else BFD can only take paths away."""

    def __post_init__(self) -> None:
        if not MIN_INTERVAL_MS <= self.interval_ms <= MAX_INTERVAL_MS:
            raise ValueError(f"interval_ms: not in {MIN_INTERVAL_MS}..{MAX_INTERVAL_MS}")
        if not 1 <= self.multiplier <= MAX_MULTIPLIER:
            raise ValueError(f"multiplier: not in 1..{MAX_MULTIPLIER}")
