"""Maintenance in a cluster, with packets counted: the scenes of `./dev bench kubernetes`."""

from __future__ import annotations

import pytest

from containerlab.measure.check import render_table
from tests.bench.kubernetes_maintenance import check_maintenance

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("openssl", "nft"),
    pytest.mark.timeout(240),
]


def test_drains_and_duplicates_lose_nothing_and_their_controls_do() -> None:
    checks = check_maintenance()
    assert {check.name for check in checks} == {
        "drain_lost",
        "control_lost",
        "duplicate_cidr_disturbance",
        "duplicate_control_lost",
    }
    wrong = [check for check in checks if not check.ok]
    assert not wrong, f"{render_table(checks)}\n{[(c.name, c.faults, c.samples) for c in wrong]}"
