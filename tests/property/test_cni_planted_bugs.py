"""The fuzzers find what they are for: bugs planted in a copy, each within a small budget."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fuzz.branches import Branches
from tests.support.fuzz.campaign import ROOT, SHIM, Campaign
from tests.support.fuzz.targets import TARGETS

pytestmark = [pytest.mark.slow, pytest.mark.needs("gcc")]

EXECUTIONS = 150_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A change of one place in the product, and who has to find it."""

    target: str
    path: str
    right: str
    wrong: str
    executions: int = EXECUTIONS


BUGS = {
    "one byte too many on the stack": Bug(
        target=SHIM,
        path="cni/shim/request.c",
        right="length < sizeof found - 1",
        wrong="length < sizeof found + 1",
    ),
    "no room for the NULs": Bug(
        target=SHIM,
        path="cni/shim/request.c",
        right="environment += strlen(*item) + 1",
        wrong="environment += strlen(*item)",
    ),
    "the server says how much to allocate": Bug(
        target=SHIM,
        path="cni/shim/server.c",
        right="size <= MAX_REPLY_BYTES ?",
        wrong="size <= UINT32_MAX ?",
    ),
    "a wait without end": Bug(
        target=SHIM,
        path="cni/shim/server.c",
        right="poll(&ready, 1, (int)left)",
        wrong="poll(&ready, 1, -1)",
    ),
    "a DEL that nobody keeps": Bug(
        target=SHIM,
        path="cni/shim/spool.c",
        right="result = renameat(directory, temporary, directory, name);",
        wrong="result = 0;",
    ),
    "a cut variable is lost": Bug(
        target="cni-wire",
        path="cni/wire.py",
        right='block and not block.endswith(b"\\0")',
        wrong="False",
    ),
    "a name that is no UTF-8": Bug(
        target="cni-environment",
        path="cni/spec/environment.py",
        right="except UnicodeEncodeError:",
        wrong="except UnicodeDecodeError:",
    ),
    "nesting beyond the stack": Bug(
        target="cni-configuration",
        path="cni/spec/netconf.py",
        right="except (ValueError, RecursionError) as error:",
        wrong="except ValueError as error:",
    ),
    "an alias with empty fields": Bug(
        target="cni-alias",
        path="cni/attachment/alias.py",
        right=" or not all(fields)",
        wrong="",
    ),
    "a collection of names that are no UTF-8": Bug(
        target="cni-server",
        path="cni/attachment/alias.py",
        right='value.encode("utf-8", "surrogatepass")',
        wrong="value.encode()",
        executions=4 * EXECUTIONS,
    ),
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_planted_bug_is_found(bug: Bug, tmp_path: Path) -> None:
    copy = tmp_path / "product"
    shutil.copytree(ROOT / "cni", copy / "cni", ignore=shutil.ignore_patterns("__pycache__"))
    source = copy / bug.path
    text = source.read_text(encoding="utf-8")
    assert text.count(bug.right) == 1, f"plant it anew: {bug.path} has changed"
    source.write_text(text.replace(bug.right, bug.wrong), encoding="utf-8")
    campaign = Campaign(executions=bug.executions, product=copy, only=(bug.target,))
    outcomes = campaign.run(tmp_path)
    assert any(outcome.crashed or outcome.hung for outcome in outcomes)


def test_the_branches_of_the_parsers_are_reached(tmp_path: Path) -> None:
    outcomes = Campaign(executions=EXECUTIONS, only=tuple(TARGETS)).run(tmp_path)
    assert [outcome.fault for outcome in outcomes if outcome.fault] == []
    branches = Branches.of(outcomes)
    assert branches.percent >= 90, branches.missing
    for module in ("cni.wire", "cni.node_facts", "cni.attachment.alias", "cni.spec.netconf"):
        assert branches.by_module[module] >= 90, branches.missing
