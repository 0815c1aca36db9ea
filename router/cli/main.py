"""Arguments of `podroute` and what they start.

Modules of a subcommand are imported when it runs: a daemon must not carry what only another
one needs (the CNI server stays free of pyroute2's weight and of BGP).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from router.cli.bfd import add_bfd
from router.cli.cni import add_cni
from router.cli.completion import add_completion
from router.cli.doctor import add_doctor
from router.cli.drain import add_drain
from router.cli.pods import add_pods
from router.cli.refusal import in_words
from router.cli.router import add_router
from router.cli.stop import add_stop
from router.cli.support_bundle import add_support_bundle
from router.cli.uninstall import add_uninstall
from router.cli.views import add_views
from router.cli.why import add_why

RUN_DIR: Final = Path("/run/podroute")
STATE_DIR: Final = Path("/var/lib/podroute")
PROC_SYS: Final = Path("/proc/sys")
CLUSTER: Final = "--cluster"
PLUGIN: Final = "kubectl-podroute"
"""What kubectl runs for `kubectl podroute`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `podroute`; return its exit status: 0 fine, 1 failed, 2 wrong usage or input.

    `podroute --cluster` has commands of its own, and so has a program called kubectl-podroute.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    program = Path(sys.argv[0]).name
    if program == PLUGIN:
        return _guarded(lambda: _run_cluster("kubectl podroute", words))
    if words[:1] == [CLUSTER]:
        return _guarded(lambda: _run_cluster(f"podroute {CLUSTER}", words[1:]))
    options = parser_of("podroute").parse_args(words)
    return _guarded(lambda: int(options.run(options)))


def _run_cluster(program: str, words: Sequence[str]) -> int:
    from router.cli.cluster import cluster_parser, run_cluster

    return run_cluster(cluster_parser(program, _version()).parse_args(words), dict(os.environ))


def _guarded(run: Callable[[], int]) -> int:
    try:
        status = run()
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except PermissionError as error:
        if not os.geteuid():
            raise  # root is refused nothing by file modes: a defect, or a lacking capability
        print(f"podroute: {in_words(error)}", file=sys.stderr)
        return 1
    return status


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return the parser of all commands on one node."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Pure-routing pod network: pods are plain hosts on your routed network.",
        epilog=f"`{program} {CLUSTER} ...` (`kubectl podroute ...`) looks at all nodes of a"
        " cluster. Exit status: 0 fine; 1 failed, or nobody answers; 2 wrong usage or input; `why`,"
        " `doctor` and `drain` have more, see their help.",
    )
    parser.add_argument("--version", action="version", version=f"podroute {_version()}")
    parser.add_argument(
        "--run-dir", type=Path, default=RUN_DIR, metavar="DIR", help="sockets and node facts"
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=STATE_DIR,
        metavar="DIR",
        help="what a reboot must not forget: the drain, the configuration in force last",
    )
    parser.add_argument(
        "--proc-sys",
        type=Path,
        default=PROC_SYS,
        metavar="DIR",
        help="where the node's sysctls are writable: a container has /proc/sys read-only, and the"
        " node's /proc/sys/net mounted at DIR/net",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_daemons(commands)
    add_views(commands)
    add_why(commands)
    add_doctor(commands)
    add_pods(commands)
    add_drain(commands)
    add_uninstall(commands)
    add_support_bundle(commands)
    add_completion(commands)
    return parser


def _add_daemons(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_router(commands, _add_logging)
    add_cni(commands, _add_logging)
    add_bfd(commands, _add_logging)
    add_stop(commands)


def _add_logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    parser.add_argument("--log-format", default="auto", choices=("auto", "json", "console"))


def _version() -> str:
    try:
        return version("podroute")
    except PackageNotFoundError:
        return "(not installed)"
