"""How much a peer may announce. PURE."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bgp.nlri import IPV4

DEFAULT_MAX_PREFIXES = 200_000
"""Per family: twice what we are measured with, about 300 MB of memory."""


class LimitAction(StrEnum):
    """What a peer gets that announces more than it may."""

    WARN = "warn"
    """It is told to the operator."""
    TEARDOWN = "teardown"
    """Its session is ended (6/1) and kept down for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPrefixes:
    """How many prefixes a peer may announce, accepted or not, so that none can flood us."""

    ipv4: int = DEFAULT_MAX_PREFIXES
    ipv6: int = DEFAULT_MAX_PREFIXES
    action: LimitAction = LimitAction.TEARDOWN
    retry_after_s: int = 60
    """How long its session stays down."""

    def of(self, family: int) -> int:
        """Give the limit of a family."""
        return self.ipv4 if family == IPV4 else self.ipv6
