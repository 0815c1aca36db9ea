"""Arguments of `podroute` and what they start.

Modules of a subcommand are imported when it runs: a daemon must not carry what only another
one needs (the CNI server stays free of pyroute2's weight and of BGP).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from router.cli.bfd import add_bfd
from router.cli.cni import add_cni
from router.cli.doctor import add_doctor
from router.cli.drain import add_drain
from router.cli.pods import add_pods
from router.cli.router import add_router
from router.cli.uninstall import add_uninstall
from router.cli.why import add_why

RUN_DIR: Final = Path("/run/podroute")
STATE_DIR: Final = Path("/var/lib/podroute")
PROC_SYS: Final = Path("/proc/sys")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `podroute`; return its exit status: 0 fine, 1 failed, 2 wrong usage or input."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="podroute",
        description="Pure-routing pod network: pods are plain hosts on your routed network.",
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
        help="what a reboot must not forget: the drain",
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
    _add_views(commands)
    add_why(commands)
    add_doctor(commands)
    add_pods(commands)
    add_drain(commands)
    add_uninstall(commands)
    return parser


def _add_daemons(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add_router(commands, _add_logging)
    add_cni(commands, _add_logging)
    add_bfd(commands, _add_logging)
    stop = commands.add_parser("stop", help="end the route agent of this node")
    stop.add_argument(
        "--withdraw",
        action="store_true",
        help="first withdraw everything and wait until the peers have it",
    )
    stop.set_defaults(run=_run_stop)


def _add_logging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error")
    )
    parser.add_argument("--log-format", default="auto", choices=("auto", "json", "console"))


def _add_views(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, text in (
        ("status", "what the route agent is doing"),
        ("peers", "BGP peers and their sessions"),
        ("routes", "learned prefixes, their paths, and whether they are in the kernel"),
        ("services", "addresses of Services, and whether this node announces them"),
    ):
        view = commands.add_parser(name, help=text)
        view.add_argument("-o", "--output", default="table", choices=("table", "json"))
        if name == "routes":
            view.add_argument("prefix", nargs="?", type=_prefix, help="only this prefix")
        view.set_defaults(run=_run_view, view=name)


def _prefix(text: str) -> str:
    """Read a prefix as the agent writes it; an address alone is a host's."""
    from bgp.nlri import Prefix, PrefixError

    try:
        return str(Prefix.parse(text))
    except PrefixError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _version() -> str:
    try:
        return version("podroute")
    except PackageNotFoundError:
        return "(not installed)"


def _run_stop(options: argparse.Namespace) -> int:
    from router.cli.client import AgentUnreachableError, LocalClient

    try:
        answer = LocalClient(options.run_dir).post("/v1/stop", {"withdraw": options.withdraw})
    except AgentUnreachableError as error:
        print(f"podroute stop: {error}", file=sys.stderr)
        return 1
    if not options.withdraw:
        print("The route agent stops. Its announcements stay with the peers until their")
        print("graceful-restart time ends, so that a new agent takes over without loss.")
        return 0
    if answer.get("withdrawn") and not answer.get("peers"):
        print("No peer is established, so nothing could be withdrawn; the agent stops. A peer that")
        print("keeps routes over a graceful restart drops them when its restart time ends.")
        return 0
    if answer.get("withdrawn"):
        print("Everything is withdrawn, every established peer has it, and the agent stops.")
        return 0
    print(
        "podroute stop: not every peer acknowledged the withdrawal in time; the agent stops"
        " all the same, and such a peer may keep the routes until its hold or restart time ends",
        file=sys.stderr,
    )
    return 1


def _run_view(options: argparse.Namespace) -> int:
    import json

    from router.cli import tables
    from router.cli.client import AgentUnreachableError, LocalClient

    try:
        answer = LocalClient(options.run_dir).get(f"/v1/{options.view}")
    except AgentUnreachableError as error:
        print(f"podroute {options.view}: {error}", file=sys.stderr)
        return 1
    if options.view == "routes" and options.prefix:
        answer["routes"] = [r for r in answer["routes"] if r["prefix"] == options.prefix]
        if not answer["routes"]:
            print(f"podroute routes: no peer has announced {options.prefix}", file=sys.stderr)
            return 1
    if options.output == "json":
        print(json.dumps(answer, indent=2))
    else:
        print(tables.RENDER[options.view](answer))
    return 0
