"""The failure matrix: what is broken, how long it hurts, packets lost, and a control that loses.

`./dev bench failures [--json] [--quick] [--only NAME ...] [--write]`. Everything runs on one
dual-tor fabric (containerlab/failures). `--write` makes docs/failures.md of the run; `--quick` is
a few scenarios only.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

from containerlab.failures.report import render
from containerlab.failures.scenario import Scenario
from containerlab.failures.table import SCENARIOS, try_all
from containerlab.measure.check import all_ok, render_json, render_table

PAGE = Path(__file__).resolve().parents[2] / "docs/failures.md"
QUICK = frozenset({"kill_agent", "routes_flushed", "unused_address"})


def main() -> int:
    """Measure, print, return 0 only if every rule held."""
    parser = argparse.ArgumentParser(prog="./dev bench failures", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    parser.add_argument("--write", action="store_true", help="write docs/failures.md")
    options = parser.parse_args()
    wanted = _wanted(options.only or (QUICK if options.quick else names))
    if options.write and len(wanted) < len(SCENARIOS):
        parser.error("--write needs the whole matrix")
    began = time.monotonic()
    tried = list(try_all(wanted, told=_tell))
    _tell(f"{time.monotonic() - began:.0f} s in all")
    checks = [check for one in tried for check in one.checks()]
    if options.write:
        PAGE.write_text(render(tried, _facts()))
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def _wanted(names: Collection[str]) -> list[Scenario]:
    return [scenario for scenario in SCENARIOS if scenario.name in names]


def _tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _facts() -> dict[str, str]:
    frr = subprocess.run(
        ["/usr/lib/frr/bgpd", "--version"], capture_output=True, text=True, check=False
    ).stdout
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "kernel": platform.release().partition("-")[0],
        "processors": str(os.cpu_count()),
        "podroute": version("podroute"),
        "ExaBGP": version("exabgp"),
        "FRR": (frr.split("version ")[-1].split() or ["?"])[0],
        "Python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main())
