"""Scenario: something that is broken, the rule that must hold then, and how it is tried. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from containerlab.measure.check import Bound, Check, at_least, failed
from containerlab.measure.flows import GroupResult

if TYPE_CHECKING:
    from containerlab.failures.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one try."""

    seconds: float | None = None
    """How long it took until what the scenario times; None where nothing is timed."""
    lost: int | None = None
    """Packets that were due and did not arrive, counted at the receivers; None without traffic."""
    sent: int = 0
    note: str = ""
    """What else was seen, for the report."""
    faults: tuple[str, ...] = ()
    """Why the rule does not hold, or why the try proves nothing, apart from the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A line of the failure matrix."""

    row: str
    """Its number in the matrix; letters tell variants apart."""
    name: str
    broken: str
    rule: str
    run: Callable[[Scene], Outcome]
    timed: str = ""
    """What the seconds are the time of."""
    seconds: Bound | None = None
    lost: Bound | None = None
    control: Callable[[Scene], Outcome] | None = None
    """The same with what should protect taken away."""
    controlled: str = ""
    """The control in words."""
    control_loses: bool = True
    """The control must lose packets; else its faults alone say whether it did as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A scenario with its outcome, and its control's."""

    scenario: Scenario
    outcome: Outcome
    control: Outcome | None = field(default=None)

    def checks(self) -> tuple[Check, ...]:
        """Return a check for each number that has a bound, and one for the control."""
        scenario, outcome = self.scenario, self.outcome
        made = []
        for what, unit, bound, value in (
            ("lost", "packets", scenario.lost, outcome.lost),
            ("s", "s", scenario.seconds, outcome.seconds),
        ):
            if bound is not None:
                made.append(_check(f"{scenario.name}_{what}", unit, bound, value, outcome.faults))
        if not made:
            # Nothing is bounded: the rule is a yes or no, told by the faults.
            kept = int(not outcome.faults)
            made.append(_check(f"{scenario.name}_holds", "", at_least(1), kept, outcome.faults))
        if self.control is not None:
            name, faults = f"{scenario.name}_control", self.control.faults
            if scenario.control_loses:
                made.append(_check(name, "packets", at_least(1), self.control.lost, faults))
            else:
                made.append(_check(name, "", at_least(1), int(not faults), faults))
        return tuple(made)

    @property
    def ok(self) -> bool:
        """Whether the rule held and the control failed as it should."""
        return all(check.ok for check in self.checks())


def _check(
    name: str, unit: str, bound: Bound, value: float | None, faults: tuple[str, ...]
) -> Check:
    if value is None:
        return failed(name, unit, bound, "; ".join(faults) or "not measured")
    return Check(name=name, value=value, unit=unit, bound=bound, faults=faults)


def lost_of(results: Iterable[GroupResult]) -> int:
    """Return the packets lost in all groups."""
    return sum(result.lost for result in results)


def sent_of(results: Iterable[GroupResult]) -> int:
    """Return the packets due in all groups."""
    return sum(result.attempted for result in results)
