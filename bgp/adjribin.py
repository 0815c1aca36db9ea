"""Adj-RIB-In of one peer and family: what it announced and did not withdraw. PURE."""

from __future__ import annotations

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
    """Adj-RIB-In of one peer and family; a prefix is in at most one of the two dicts."""

    __slots__ = ("accepted", "rejected", "stale")

    def __init__(self) -> None:
        self.accepted: dict[Prefix, Attributes] = {}
        self.rejected: dict[Prefix, tuple[Attributes, str]] = {}
        self.stale: set[Prefix] = set()


def families() -> dict[int, Table]:
    """Give an empty one of each family."""
    return {family: Table() for family in BITS}
