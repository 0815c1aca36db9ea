"""Adj-RIB-In of one peer and family: what it announced and did not withdraw. PURE."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bgp.nlri import BITS, Prefix
from bgp.path import Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of one peer and family."""

    accepted: int = 0
    rejected: int = 0
    stale: int = 0
    """Part of `accepted`."""

    @property
    def received(self) -> int:
        """All that the peer announced and did not withdraw."""
        return self.accepted + self.rejected


class Table:
    """Adj-RIB-In of one peer and family; a prefix is in at most one of `accepted`, `rejected`."""

    __slots__ = ("accepted", "raw", "rejected", "stale")

    def __init__(self) -> None:
        self.accepted: dict[Prefix, Attributes] = {}
        self.rejected: dict[Prefix, tuple[Attributes, str]] = {}
        """Attributes as they came, and the reason."""
        self.raw: dict[Prefix, Attributes] = {}
        """As they came, of accepted paths that a filter changed."""
        self.stale: set[Prefix] = set()

    def store(self, prefix: Prefix, attributes: Attributes, reason: str) -> bool:
        """Put a path where it belongs; tell whether what may be used has changed."""
        if reason:
            self.rejected[prefix] = (attributes, reason)
            return self.accepted.pop(prefix, None) is not None
        if self.rejected:
            self.rejected.pop(prefix, None)
        before = self.accepted.get(prefix)
        if before is attributes or before == attributes:
            return False
        self.accepted[prefix] = attributes
        return True

    def as_received(self) -> Iterator[tuple[Prefix, Attributes]]:
        """Give every path as the peer sent it."""
        for prefix, attributes in self.accepted.items():
            yield prefix, self.raw.get(prefix, attributes)
        for prefix, (attributes, _) in self.rejected.items():
            yield prefix, attributes

    def clear(self) -> None:
        """Forget everything."""
        self.accepted.clear()
        self.rejected.clear()
        self.raw.clear()
        self.stale.clear()


def families() -> dict[int, Table]:
    """Give an empty one of each family."""
    return {family: Table() for family in BITS}
