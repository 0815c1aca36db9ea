"""`podroute bfd`: the BFD daemon under its keeper."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Commands = argparse._SubParsersAction


def add_bfd(
    commands: Commands[argparse.ArgumentParser],
    add_logging: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the command."""
    bfd = commands.add_parser("bfd", help="watch the paths to peers that have `bfd` (daemon)")
    add_logging(bfd)
    bfd.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from bgp.bfd.daemon import DaemonSettings
    from bgp.bfd.keeper import run_kept
    from router.agent.logs import set_up_logs

    set_up_logs(options.log_level, options.log_format)
    return run_kept(DaemonSettings(directory=options.run_dir / "bfd"))
