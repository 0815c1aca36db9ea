"""`podroute bfd`: the BFD daemon under its keeper."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
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
    directory = options.run_dir / "bfd"
    # Said once here, in place of by every daemon that the keeper starts.
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))
    return run_kept(DaemonSettings(directory=directory))
