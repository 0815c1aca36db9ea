"""`podroute support-bundle`: all that others need to help with this node, without secrets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from router.cli.cni import CONF_DIR
from router.cli.router import CONFIG


def add_support_bundle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    bundle = commands.add_parser(
        "support-bundle",
        help="write a tar.gz with all that others need to help with this node, without secrets",
        description="Status, peers, routes, findings, configuration, logs, and what of ours the"
        " kernel has. Passwords, tokens and keys are taken out. Look through it all the same"
        " before you send it: addresses and names stay. What cannot be read is listed in it.",
    )
    bundle.add_argument(
        "--output", "-O", type=Path, metavar="FILE", help="default podroute-NODE-TIME.tar.gz here"
    )
    bundle.add_argument(
        "--config", type=Path, default=CONFIG, metavar="FILE", help=f"default {CONFIG}"
    )
    bundle.add_argument(
        "--conf-dir", type=Path, default=CONF_DIR, metavar="DIR", help="network configurations"
    )
    bundle.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a log of ours; repeatable. The journal is read where there is one.",
    )
    bundle.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from router.cli.bundle import collect, secrets_of, write
    from router.cli.redaction import Redactor

    redactor = Redactor(secrets_of(options))
    files = collect(options)
    try:
        path = write(options.output, {name: redactor.text(text) for name, text in files.items()})
    except OSError as error:
        print(f"podroute support-bundle: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0
