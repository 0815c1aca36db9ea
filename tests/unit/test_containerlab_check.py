from __future__ import annotations

import json
import math

import pytest

from containerlab.measure.check import (
    Bound,
    Check,
    all_ok,
    at_least,
    at_most,
    exactly,
    failed,
    render_json,
    render_table,
)


def check(value: float, bound: Bound, **more: object) -> Check:
    return Check(name="gap_ms", value=value, unit="ms", bound=bound, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "bound", "ok"),
    [
        (300, at_most(300), True),
        (300.1, at_most(300), False),
        (0, at_least(1), False),
        (1, at_least(1), True),
        (12, exactly(12), True),
        (11, exactly(12), False),
        (math.nan, at_most(300), False),
        (math.inf, at_least(1), False),
    ],
)
def test_a_value_stands_to_its_bound(value: float, bound: Bound, ok: bool) -> None:
    assert check(value, bound).ok is ok


def test_a_fault_outweighs_a_good_value() -> None:
    assert not check(0, exactly(0), faults=("only 3 of 800 packets sent",)).ok


def test_json_is_the_contract() -> None:
    text = render_json([check(12.5, at_most(300), samples=[12.5, 3.0])])
    assert json.loads(text) == {
        "checks": [
            {
                "name": "gap_ms",
                "value": 12.5,
                "unit": "ms",
                "bound": "<= 300",
                "ok": True,
                "samples": [12.5, 3.0],
            }
        ]
    }


def test_json_has_no_words_that_json_does_not_know() -> None:
    text = render_json([failed("gap_ms", "ms", at_most(300), "the sender did not start")])
    made = json.loads(text, parse_constant=pytest.fail)["checks"][0]
    assert (made["value"], made["ok"]) == (None, False)
    assert made["faults"] == ["the sender did not start"]


def test_the_table_shows_faults_below_their_check() -> None:
    lines = render_table(
        [check(1, at_most(3)), failed("lost", "packets", exactly(0), "no receiver")]
    ).splitlines()
    assert lines[1].split() == ["gap_ms", "1", "<=", "3", "ms", "ok"]
    assert lines[2].split() == ["lost", "none", "=", "0", "packets", "FAIL"]
    assert lines[3] == "    ! no receiver"


def test_no_check_at_all_is_not_ok() -> None:
    assert not all_ok([])
    assert all_ok([check(1, at_most(3))])
    assert not all_ok([check(1, at_most(3)), check(4, at_most(3))])
