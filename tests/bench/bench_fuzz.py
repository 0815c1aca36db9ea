"""Hostile bytes: crashes and hangs of the shim (ASan, UBSan) and of all parsers; wrong routes.

`./dev bench fuzz [--json] [--quick] [--seed N] [TARGET ...]`: coverage-guided, on all processors.
Every execution is one call of the code under test with one input; the shim's are whole runs of its
``main``. A run of another seed looks elsewhere.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from containerlab.measure.check import (
    Check,
    all_ok,
    at_least,
    exactly,
    render_json,
    render_table,
)
from tests.support.fuzz import bgp_targets, cni_targets
from tests.support.fuzz.branches import Branches
from tests.support.fuzz.campaign import SHIM, SHIM_PROCESS, Campaign
from tests.support.fuzz.pool import Outcome
from tests.support.fuzz.target import BrokenPromiseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Targets that take their bytes from one kind of sender."""

    name: str
    targets: tuple[str, ...]
    has_routes: bool = False


SIDES: Final = (
    Side(
        name="cni", targets=(*(target.name for target in cni_targets.TARGETS), SHIM, SHIM_PROCESS)
    ),
    Side(name="bgp", targets=tuple(t.name for t in bgp_targets.TARGETS), has_routes=True),
)
EXECUTIONS: Final = 2_000_000
"""Of each side."""
QUICK_EXECUTIONS: Final = 200_000
BRANCH_PERCENT: Final = 90
_SHOWN_BYTES: Final = 2048


def main() -> int:
    """Fuzz, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench fuzz", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    names = [name for side in SIDES for name in side.targets]
    parser.add_argument("target", nargs="*", help=f"of {', '.join(names)}; default: all")
    options = parser.parse_args()
    if unknown := set(options.target) - set(names):
        parser.error(f"no target {', '.join(sorted(unknown))}")
    checks = measure(
        executions=QUICK_EXECUTIONS if options.quick else EXECUTIONS,
        seed=options.seed,
        only=options.target,
    )
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def measure(*, executions: int, seed: int, only: Sequence[str] = ()) -> list[Check]:
    """Return the checks of a campaign for each wanted side, of so many executions each."""
    checks: list[Check] = []
    for side in SIDES:
        names = [name for name in side.targets if not only or name in only]
        if names:
            checks += _measure(side, Campaign(executions=executions, seed=seed, only=names))
    return [*checks, *_totals(checks)]


def _totals(checks: Sequence[Check]) -> list[Check]:
    """Return what both sides' crashes and hangs come to."""
    return [
        Check(
            name=what,
            value=sum(int(one.value or 0) for one in checks if one.name.endswith(f"_{what}")),
            unit="",
            bound=exactly(0),
        )
        for what in ("crashes", "hangs")
    ]


def _measure(side: Side, campaign: Campaign) -> list[Check]:
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = campaign.run(Path(directory))
    took_s = time.monotonic() - started_s
    names = sorted({outcome.target for outcome in outcomes})
    each = {name: sum(o.executions for o in outcomes if o.target == name) for name in names}
    total = sum(each.values())
    checks = [
        Check(
            name=f"{side.name}_executions",
            value=total,
            unit="",
            bound=at_least(campaign.executions),
            samples={**each, "per_s": round(total / took_s), "took_s": round(took_s, 1)},
        ),
        _none(f"{side.name}_crashes", [one for one in outcomes if one.crashed]),
        _none(f"{side.name}_hangs", [one for one in outcomes if one.hung]),
    ]
    if side.has_routes:
        wrong = [one for one in outcomes if BrokenPromiseError.__name__ in one.fault]
        checks.append(_none("wrong_routes", wrong))
    branches = Branches.of(outcomes)
    if branches.total:
        whole = len(campaign.only) == len(side.targets)
        checks.append(
            Check(
                name=f"{side.name}_branches_reached",
                value=round(branches.percent, 1),
                unit="%",
                bound=at_least(BRANCH_PERCENT if whole else 0),
                samples={
                    **{name: round(percent, 1) for name, percent in branches.by_module.items()},
                    "missing": list(branches.missing),
                },
            )
        )
    return checks


def _none(name: str, found: Sequence[Outcome]) -> Check:
    return Check(
        name=name,
        value=len(found),
        unit="",
        bound=exactly(0),
        samples=[
            {
                "target": outcome.target,
                "execution": outcome.executions,
                "input_base64": base64.b64encode(outcome.data[:_SHOWN_BYTES]).decode(),
                "fault": outcome.fault,
            }
            for outcome in found
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
