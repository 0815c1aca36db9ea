"""Which capabilities the agent lacks. SHELL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cni.capabilities import lacking

_WANTED: Final = ("NET_ADMIN", "NET_RAW", "SETUID", "SETGID", "KILL")
"""NET_RAW listens for routers and silent peers; the last three are for the speaker's own user."""


def lacking_here() -> tuple[str, ...]:
    """Return those of this process that are not effective."""
    return lacking(Path("/proc/self/status").read_text(), _WANTED)
