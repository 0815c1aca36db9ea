"""`podroute drain` and `podroute undrain`: take this node out of the network, and back."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from router.reconcile.drain import DEFAULT_WAIT_S, MAX_PREPEND, MAX_WAIT_S, Phase

if TYPE_CHECKING:  # only the command itself needs it
    from router.cli.client import LocalClient

_POLL_S: Final = 0.2

Commands = argparse._SubParsersAction
"""argparse gives this type no public name."""


def add_drain(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    drain = commands.add_parser(
        "drain",
        help="move traffic away from this node, then withdraw it, until `undrain`",
        description="Announce everything with GRACEFUL_SHUTDOWN (RFC 8326), wait until the peers"
        " have it and traffic has moved, then withdraw. It outlives the agent and a reboot.",
    )
    drain.add_argument(
        "--prepend",
        type=_whole(MAX_PREPEND),
        default=0,
        metavar="N",
        help="also put our AS number N times before the path, for routers that do not honour the"
        " community (external peers only)",
    )
    drain.add_argument(
        "--wait",
        type=_seconds,
        default=DEFAULT_WAIT_S,
        metavar="S",
        help=f"seconds between the peers' acknowledgement and the withdrawal"
        f" (default {DEFAULT_WAIT_S:g})",
    )
    drain.add_argument("--dry-run", action="store_true", help="only say what would be done")
    drain.add_argument(
        "--detach", action="store_true", help="return at once; `podroute status` shows the phase"
    )
    drain.set_defaults(run=_run_drain)
    undrain = commands.add_parser("undrain", help="announce this node again")
    undrain.add_argument(
        "--override",
        action="store_true",
        help="also set aside what the Node object orders (annotation, taint, shutdown), until it"
        " is taken back there",
    )
    undrain.set_defaults(run=_run_undrain)


def _whole(highest: int) -> Any:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) > highest:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number up to {highest}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MAX_WAIT_S:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds from 0 to {MAX_WAIT_S:g}")
    return value


def _run_drain(options: argparse.Namespace) -> int:
    from router.cli.client import AgentUnreachableError, LocalClient

    client = LocalClient(options.run_dir)
    try:
        answer = client.post(
            "/v1/drain",
            {"prepend": options.prepend, "wait_s": options.wait, "dry_run": options.dry_run},
        )
        if options.dry_run:
            for each in answer["drain"]["asked"]:
                print(f"already ordered by {each['what']}")
            for number, line in enumerate(answer["plan"], 1):
                print(f"{number}. {line}")
            if not answer["plan"]:
                print(f"nothing to do: {answer['drain']['text']}")
            return 0
        return 0 if options.detach else _follow(client, answer["drain"])
    except AgentUnreachableError as error:
        print(f"podroute drain: {error}", file=sys.stderr)
        return 1


def _follow(client: LocalClient, drain: dict[str, Any]) -> int:
    """Tell every phase until the last; the agent goes on without us."""
    told = ""
    while True:
        if drain["text"] != told:
            told = drain["text"]
            print(told or "the drain was ended by somebody else", flush=True)
        if drain["phase"] == Phase.DRAINED:
            return 0
        if drain["phase"] == Phase.NONE:
            return 1
        time.sleep(_POLL_S)
        drain = client.get("/v1/status")["drain"]


def _run_undrain(options: argparse.Namespace) -> int:
    from router.cli.client import AgentUnreachableError, LocalClient

    try:
        client = LocalClient(options.run_dir)
        answer = client.post("/v1/undrain", {"override": options.override})
    except AgentUnreachableError as error:
        print(f"podroute undrain: {error}", file=sys.stderr)
        return 1
    if answer["now"] != Phase.NONE:
        others = ", ".join(each["what"] for each in answer["drain"]["asked"])
        print(f"This node stays drained: {others} orders it, too; take that back, or `--override`.")
        return 1
    if answer["was"] == Phase.NONE:
        print("This node was not drained.")
    else:
        print("This node is announced again; `podroute peers` shows when the peers have it.")
    return 0
