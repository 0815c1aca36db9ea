"""What the kernel rejects of Services' addresses: as found, and as it is to be. PURE."""

from __future__ import annotations

from dataclasses import dataclass

from bgp.nlri import Prefix

NONE: frozenset[Prefix] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """Our table of nf_tables, as it was found."""

    exists: bool = False
    is_whole: bool = False
    """Its chains, rules and sets are as we make them."""
    prefixes: frozenset[Prefix] = NONE
    """What stands in its sets."""
    packets: int = 0
    """Rejected or dropped since it was made."""
