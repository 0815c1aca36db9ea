"""Check: one measured value against its bound, and how a run of checks is shown.

PURE. The JSON form is a contract with scripts and CI: one object
``{"checks": [{"name", "value", "unit", "bound", "ok", "samples"}, ...]}``, nothing else.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

Number = int | float
Sample = Number | str | Mapping[str, "Sample"] | Sequence["Sample"]


class Relation(StrEnum):
    """How a value must stand to its limit."""

    AT_MOST = "<="
    AT_LEAST = ">="
    EQUAL = "="


_HOLDS: Mapping[Relation, Callable[[Number, Number], bool]] = {
    Relation.AT_MOST: operator.le,
    Relation.AT_LEAST: operator.ge,
    Relation.EQUAL: operator.eq,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A relation and its limit, in the unit of the value."""

    relation: Relation
    limit: Number

    def holds(self, value: Number) -> bool:
        """Say whether *value* is finite and within the bound."""
        return math.isfinite(value) and _HOLDS[self.relation](value, self.limit)

    def __str__(self) -> str:
        return f"{self.relation} {_plain(self.limit)}"


def at_most(limit: Number) -> Bound:
    """Return the bound ``<= limit``."""
    return Bound(relation=Relation.AT_MOST, limit=limit)


def at_least(limit: Number) -> Bound:
    """Return the bound ``>= limit``."""
    return Bound(relation=Relation.AT_LEAST, limit=limit)


def exactly(limit: Number) -> Bound:
    """Return the bound ``= limit``."""
    return Bound(relation=Relation.EQUAL, limit=limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a report.

    ``samples`` holds what the value was made from (raw values, both medians beside a ratio);
    ``faults`` what else went wrong while measuring: with any, the check is not ok whatever the
    value says, so that a probe that did not run cannot pass for "nothing lost".
    """

    name: str
    value: Number
    unit: str
    bound: Bound
    samples: Sample = ()
    faults: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether the value is within its bound and the measurement itself was sound."""
        return not self.faults and self.bound.holds(self.value)

    def to_json(self) -> dict[str, object]:
        """Return the check in the form of the contract; faults only where there are any."""
        made: dict[str, object] = {
            "name": self.name,
            "value": self.value if math.isfinite(self.value) else None,
            "unit": self.unit,
            "bound": str(self.bound),
            "ok": self.ok,
            "samples": self.samples,
        }
        if self.faults:
            made["faults"] = list(self.faults)
        return made


def failed(name: str, unit: str, bound: Bound, fault: str) -> Check:
    """Return a check whose measurement did not come to a value."""
    return Check(name=name, value=math.nan, unit=unit, bound=bound, faults=(fault,))


def all_ok(checks: Iterable[Check]) -> bool:
    """Say whether there is at least one check and all are ok."""
    states = [check.ok for check in checks]
    return bool(states) and all(states)


def render_json(checks: Sequence[Check]) -> str:
    """Return the one JSON object of the contract, ending in a newline."""
    return json.dumps({"checks": [check.to_json() for check in checks]}) + "\n"


def render_table(checks: Sequence[Check]) -> str:
    """Return a table for people: one line for each check, its faults below it."""
    rows = [("check", "value", "bound", "unit", "")]
    rows += [
        (
            check.name,
            _plain(check.value),
            str(check.bound),
            check.unit,
            "ok" if check.ok else "FAIL",
        )
        for check in checks
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for index, row in enumerate(rows):
        name, value, *rest = row
        cells = [name.ljust(widths[0]), value.rjust(widths[1])]
        cells += [cell.ljust(width) for cell, width in zip(rest, widths[2:], strict=True)]
        lines.append("  ".join(cells).rstrip())
        if index:
            lines += [f"    ! {fault}" for fault in checks[index - 1].faults]
    return "\n".join(lines) + "\n"


def _plain(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "none"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
