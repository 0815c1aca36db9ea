"""Speaker: runs stock ExaBGP as a supervised child (signatures first, body follows)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgp.event import Event
from bgp.peer import SpeakerConfig

DEFAULT_UID = 61179
"""Own user and group of the speaker; needs no entry in /etc/passwd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerProcessSettings:
    """Where and as whom the speaker runs."""

    run_dir: Path = Path("/run/podroute/speaker")
    """Made by us, mode 0711: configuration (0400, the speaker's), API socket, relay."""
    uid: int = DEFAULT_UID
    gid: int = DEFAULT_UID
    heartbeat_s: float = 1.0
    """How often the speaker is asked for a sign of life; at least 1."""


class Speaker:
    """The child, its configuration and its events. All methods belong to one thread."""

    def __init__(self, settings: SpeakerProcessSettings, wake: Callable[[], None]) -> None:
        """`wake` is called from another thread when `poll` has something to do."""
        raise NotImplementedError

    def configure(self, config: SpeakerConfig) -> None:
        """Make the speaker do what `config` says; level-triggered, idempotent, never blocks."""
        raise NotImplementedError

    def poll(self, now: float) -> tuple[Event, ...]:
        """Give what happened since the last call. `now` is monotonic; call once a second at least.

        Also supervises: restarts with back-off, heartbeat, reload retries.
        """
        raise NotImplementedError

    def stop(self, deadline_s: float) -> None:
        """End the speaker without withdrawing anything and without NOTIFICATION."""
        raise NotImplementedError

    def pending_bytes(self) -> int:
        """Count bytes towards our peers that are not acknowledged yet; 0 when all have it."""
        raise NotImplementedError

    @property
    def pid(self) -> int | None:
        """Process id of the running speaker."""
        raise NotImplementedError

    @property
    def restarts(self) -> int:
        """How often the speaker had to be started again."""
        raise NotImplementedError


_ = (os, signal)
