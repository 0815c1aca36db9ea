"""Place: the routing table that learned routes go to, and the rule that leads there."""

from __future__ import annotations

from typing import Final, NamedTuple

MAIN_TABLE: Final = 254


class Place(NamedTuple):
    """Where learned routes are; default routes are in the main table in any case."""

    table: int = MAIN_TABLE
    priority: int = 0
    """Of the rule that looks the table up; 0 for the main table, which needs none."""

    def table_of(self, length: int) -> int:
        """Return the table of a learned route with a prefix of this length.

        A default route before the main table would hide the connected networks there.
        """
        return self.table if length else MAIN_TABLE


MAIN: Final = Place()


class Rule(NamedTuple):
    """A rule of ours: whatever it is, look up the table."""

    family: int
    priority: int
    table: int

    def describe(self) -> str:
        """Say it in one line."""
        return f"IPv{self.family} rule {self.priority}: lookup {self.table}"
