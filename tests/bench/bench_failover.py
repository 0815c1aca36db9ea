"""How long, and how many packets, until traffic goes another way: links, silence, restarts, BFD.

`./dev bench failover [--json] [--quick] [--only PART ...]`. Everything is counted at the receivers,
and at the end of each part the path is looked at. Parts: `link` (one leg of 10,000 routes loses its
carrier, beside BIRD), `silent` (hold time and power cut), `restarts` (agent and speaker, with FRR
and with BIRD), `bfd` (`./dev bench bfd` has it alone). `--quick` leaves the slow ones out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping

from containerlab.measure.check import Check, all_ok, render_json, render_table
from tests.bench.bench_bfd import endurance, silent_gap
from tests.bench.failover_link import link_loss
from tests.bench.failover_restarts import restarts
from tests.bench.failover_silent import silence

ROUNDS = 3


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench failover", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=sorted(PARTS), metavar="PART")
    options = parser.parse_args()
    checks: list[Check] = []
    for name, part in PARTS.items():
        if name in (options.only or PARTS):
            checks += part(options.quick)
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def _link(quick: bool) -> list[Check]:
    return link_loss(rounds=1 if quick else ROUNDS)


def _silent(quick: bool) -> list[Check]:
    return [] if quick else silence(rounds=ROUNDS)


def _restarts(quick: bool) -> list[Check]:
    return restarts(quick=quick)


def _bfd(quick: bool) -> list[Check]:
    gap = silent_gap(runs=1 if quick else ROUNDS)
    return [gap, *endurance(idle_s=2 if quick else 60, busy_s=5 if quick else 600)]


PARTS: Mapping[str, Callable[[bool], list[Check]]] = {
    "link": _link,
    "silent": _silent,
    "restarts": _restarts,
    "bfd": _bfd,
}

if __name__ == "__main__":
    sys.exit(main())
