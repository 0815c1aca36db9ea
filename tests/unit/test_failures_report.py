"""The page of the failure matrix, and what its checks say of a try."""

from __future__ import annotations

from containerlab.failures.reboot import UNIT, stop_command
from containerlab.failures.report import render
from containerlab.failures.scenario import Outcome, Scenario, Tried
from containerlab.failures.scene import Scene
from containerlab.failures.table import SCENARIOS
from containerlab.measure.check import at_most, exactly


def never(_: Scene) -> Outcome:
    raise AssertionError


LOSSLESS = Scenario(
    row="1",
    name="kill",
    broken="kill -9",
    rule="no packet lost",
    timed="until back",
    run=never,
    lost=exactly(0),
    control=never,
    controlled="without graceful restart",
)
TIMED = Scenario(
    row="7",
    name="tor",
    broken="a | b",
    rule="1 s",
    timed="worst flow",
    run=never,
    seconds=at_most(1),
)
FACTS = {"date": "2026-01-02", "kernel": "6"}


def lines(*tried: Tried) -> list[str]:
    return [line for line in render(tried, FACTS).splitlines() if line.startswith("| ")][2:]


def test_a_line_says_seconds_losses_bounds_and_the_control() -> None:
    tried = Tried(
        scenario=LOSSLESS,
        outcome=Outcome(seconds=2.5, lost=0, sent=100),
        control=Outcome(lost=7, sent=90),
    )
    assert lines(tried) == [
        "| 1 | kill -9 | no packet lost | 2.50: until back | 0 of 100 (= 0) |"
        " without graceful restart: 7 of 90 lost |"
    ]
    assert tried.ok


def test_a_bar_in_a_text_is_no_new_cell() -> None:
    tried = Tried(scenario=TIMED, outcome=Outcome(seconds=0.2, lost=3, sent=10))
    assert lines(tried) == [
        "| 7 | a \\| b | 1 s | 0.20 (<= 1): worst flow | 3 of 10 | loses by itself |"
    ]


def test_a_control_that_loses_nothing_fails_the_scenario_and_the_page_says_so() -> None:
    tried = Tried(
        scenario=LOSSLESS,
        outcome=Outcome(seconds=2.5, lost=0, sent=100),
        control=Outcome(lost=0, sent=90),
    )
    assert [check.name for check in tried.checks() if not check.ok] == ["kill_control"]
    assert "**FAILED**" in lines(tried)[0]


def test_what_could_not_be_measured_is_a_failed_check_not_a_zero() -> None:
    tried = Tried(scenario=LOSSLESS, outcome=Outcome(faults=("it broke",)))
    (check,) = tried.checks()
    assert not check.ok
    assert check.faults == ("it broke",)


def test_a_fault_fails_good_numbers() -> None:
    outcome = Outcome(seconds=0.1, lost=0, sent=1, faults=("the path was not used",))
    assert not Tried(scenario=TIMED, outcome=outcome).ok


def test_names_and_rows_are_unique() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len({scenario.row for scenario in SCENARIOS}) == len(SCENARIOS)


def test_every_rule_about_no_loss_has_a_control() -> None:
    unproved = [s.name for s in SCENARIOS if s.lost == exactly(0) and s.control is None]
    assert unproved == []
    assert [s.name for s in SCENARIOS if s.control is not None and not s.controlled] == []


def test_the_unit_file_says_what_to_do_at_a_shutdown() -> None:
    command = stop_command(UNIT.read_text())
    assert '"$(systemctl is-system-running)" = stopping ]' in command
    assert "podroute stop --withdraw" in command
    assert stop_command("[Service]\nExecStart=/x\n") == ""
