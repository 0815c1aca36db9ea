"""AcceptRule: a prefix with bounds for the lengths below it. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from bgp.errors import PermanentError
from bgp.nlri import BITS, Prefix


class PolicyError(PermanentError, ValueError):
    """A rule that cannot match anything or contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRule:
    """Accept `prefix` and what it covers, with a length from `ge` to `le`.

    Defaults: `ge` is the prefix's own length; `le` is the same as `ge`, so that a bare rule
    means exactly that prefix. Raises PolicyError for bounds outside length..bits.
    """

    prefix: Prefix
    ge: int | None = None
    le: int | None = None

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not self.prefix.length <= low <= high <= BITS[self.prefix.family]:
            raise PolicyError(
                f"{self.prefix}: lengths {low} to {high} are not within"
                f" {self.prefix.length} to {BITS[self.prefix.family]}"
            )

    @property
    def bounds(self) -> tuple[int, int]:
        """Shortest and longest accepted length."""
        low = self.prefix.length if self.ge is None else self.ge
        return low, low if self.le is None else self.le

    def takes(self, prefix: Prefix) -> bool:
        """Tell whether a prefix is one of those."""
        low, high = self.bounds
        return low <= prefix.length <= high and self.prefix.covers(prefix)
