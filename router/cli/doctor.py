"""`podroute doctor`: look at node, daemons and peers, and say what is wrong and what to do."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.cli.cni import CONF_DIR
from router.cli.output import add_output, shown

if TYPE_CHECKING:
    from router.reconcile.diagnosis import Finding

FINDINGS_STATUS = 3
ASK_AS_ROOT = "only root may look at it all; run it as root"


def add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    doctor = commands.add_parser(
        "doctor",
        help="what is wrong on this node, how we know, and what to do",
        description="Looks, and changes nothing. Exit status: 0 nothing found, 3 something found.",
    )
    add_output(doctor)
    doctor.add_argument(
        "--conf-dir", default=CONF_DIR, metavar="DIR", help="network configurations"
    )
    doctor.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    socket = options.run_dir / "router.sock"
    if socket.exists() and not os.access(socket, os.W_OK):
        # Else a node where all is well would seem to be without its daemons.
        print(f"podroute doctor: {ASK_AS_ROOT}", file=sys.stderr)
        return 1
    found, unseen = _examine(options, Path(options.conf_dir))
    print(shown(as_json(found, unseen), options.output, lambda _: render(found)))
    if options.output in ("table", "wide"):
        for each in unseen:
            print(f"podroute doctor: not looked at: {each}", file=sys.stderr)
    return FINDINGS_STATUS if found else 0


def examine(options: argparse.Namespace) -> dict[str, Any]:
    """Look at this node and return what `-o json` prints, for the status page."""
    return examine_in(options, CONF_DIR)


def examine_in(options: argparse.Namespace, conf_dir: Path) -> dict[str, Any]:
    """Do the same with network configurations from another directory."""
    return as_json(*_examine(options, conf_dir))


def _examine(options: argparse.Namespace, conf_dir: Path) -> tuple[tuple[Finding, ...], list[str]]:
    from router.cli.doctor_look import Places, look
    from router.reconcile.diagnosis import diagnose

    places = Places(options.run_dir, options.state_dir, options.proc_sys, conf_dir)
    seen, unseen = look(places)
    return diagnose(seen), unseen


def as_json(found: tuple[Finding, ...], unseen: list[str]) -> dict[str, Any]:
    """Return the findings as JSON values."""
    return {"findings": [each._asdict() for each in found], "not_looked_at": unseen}


def render(found: tuple[Finding, ...]) -> str:
    """Return the findings as text."""
    if not found:
        return "nothing found"
    return "\n".join(
        f"{each.name}: {each.text}\n    evidence  {each.evidence}\n    fix       {each.fix}"
        for each in found
    )
