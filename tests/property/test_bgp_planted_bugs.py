"""The fuzzers of the BGP parsers find what they are for: bugs planted in a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.fuzz.branches import Branches
from tests.support.fuzz.campaign import ROOT, Campaign

pytestmark = [pytest.mark.slow]

EXECUTIONS = 60_000
# what goes wrong: target, file, right, wrong
BUGS = {
    "a cut prefix is read": (
        "bgp-update",
        "bgp/nlri_wire.py",
        "if length > bits or until > end:",
        "if length > bits:",
    ),
    "a segment beyond the attribute": (
        "bgp-update",
        "bgp/attribute.py",
        'if until > end:\n            raise DamagedError("AS_PATH segment is cut off")',
        'if until > end + 4:\n            raise DamagedError("AS_PATH segment is cut off")',
    ),
    "a prefix comes and goes": (
        "bgp-update",
        "bgp/update.py",
        "[*set(gone).difference(new)]",
        "[*gone]",
    ),
    "AS 0 by way of the template": (
        "bgp-update",
        "bgp/update.py",
        "if AS_0 in packed and",
        "if not packed and",
    ),
    "routes of another family are lost": (
        "bgp-update",
        "bgp/update.py",
        "if reach in families and announced:",
        "if reach in families and announced and not new:",
    ),
    "routes that are cut off are passed over": (
        "bgp-update",
        "bgp/attribute_field.py",
        "if kind in MULTIPROTOCOL:",
        "if kind is MULTIPROTOCOL:",
    ),
    "nesting beyond the stack": (
        "bgp-line",
        "bgp/speaker/events.py",
        "IndexError, RecursionError)",
        "IndexError)",
    ),
    "a message cut off in its header": (
        "bgp-stream",
        "bgp/speaker/reader.py",
        "except IndexError as error:",
        "except KeyError as error:",
    ),
}


@pytest.mark.parametrize(("target", "path", "right", "wrong"), BUGS.values(), ids=BUGS)
def test_a_planted_bug_is_found(
    target: str, path: str, right: str, wrong: str, tmp_path: Path
) -> None:
    copy = tmp_path / "product"
    shutil.copytree(ROOT / "bgp", copy / "bgp", ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / path
    text = source.read_text(encoding="utf-8")
    assert text.count(right) == 1, f"plant it anew: {path} has changed"
    source.write_text(text.replace(right, wrong), encoding="utf-8")
    outcomes = Campaign(executions=EXECUTIONS, product=copy, only=(target,)).run(tmp_path)
    assert any(outcome.crashed or outcome.hung for outcome in outcomes)


def test_the_branches_of_the_parsers_are_reached(tmp_path: Path) -> None:
    targets = ("bgp-update", "bgp-line", "bgp-stream")
    outcomes = Campaign(executions=3 * EXECUTIONS, only=targets).run(tmp_path)
    assert [outcome.fault for outcome in outcomes if outcome.fault] == []
    branches = Branches.of(outcomes)
    assert branches.percent >= 90, branches.missing
