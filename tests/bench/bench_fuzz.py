"""Hostile bytes: crashes and hangs of the shim (ASan, UBSan) and of the server's parsers.

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
from tests.support.fuzz.branches import Branches
from tests.support.fuzz.campaign import SHIM, SHIM_PROCESS, Campaign
from tests.support.fuzz.pool import Outcome
from tests.support.fuzz.targets import TARGETS

EXECUTIONS: Final = 2_000_000
QUICK_EXECUTIONS: Final = 200_000
BRANCH_PERCENT: Final = 90
_SHOWN_BYTES: Final = 2048


def main() -> int:
    """Fuzz, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench fuzz", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    names = (*TARGETS, SHIM, SHIM_PROCESS)
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
    """Return the checks of one campaign."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        campaign = Campaign(executions=executions, seed=seed, only=only)
        outcomes = campaign.run(Path(directory))
    took_s = time.monotonic() - started_s
    names = sorted({outcome.target for outcome in outcomes})
    each = {name: sum(o.executions for o in outcomes if o.target == name) for name in names}
    total = sum(each.values())
    checks = [
        Check(
            name="executions",
            value=total,
            unit="",
            bound=at_least(executions),
            samples={**each, "per_s": round(total / took_s), "took_s": round(took_s, 1)},
        ),
        _none("crashes", [outcome for outcome in outcomes if outcome.crashed]),
        _none("hangs", [outcome for outcome in outcomes if outcome.hung]),
    ]
    branches = Branches.of(outcomes)
    if branches.total:
        checks.append(
            Check(
                name="branches_reached",
                value=round(branches.percent, 1),
                unit="%",
                bound=at_least(0 if only else BRANCH_PERCENT),
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
