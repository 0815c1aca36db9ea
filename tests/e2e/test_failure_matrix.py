"""The failure matrix (containerlab/failures): every rule holds, and every control fails."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from containerlab.failures.scenario import Scenario, Tried
from containerlab.failures.table import SCENARIOS, try_all

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def matrix() -> Mapping[str, Tried]:
    """All of it, on one fabric as long as nothing fails."""
    return {tried.scenario.name: tried for tried in try_all()}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_row(matrix: Mapping[str, Tried], scenario: Scenario) -> None:
    wrong = [check.to_json() for check in matrix[scenario.name].checks() if not check.ok]
    assert not wrong, json.dumps(wrong, indent=1)
