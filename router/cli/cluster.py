"""`podroute --cluster`, also `kubectl podroute`: all nodes at once, from where a kubeconfig is."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from router.cli import cluster_rows
from router.cli.cluster_rows import Row
from router.cli.output import add_output, shown

if TYPE_CHECKING:  # the API's client is loaded by whoever asks
    from router.kube.access import Access
    from router.kube.laptop import Reader

FINDINGS_STATUS: Final = 3
SOME_SILENT_STATUS: Final = 5
_ROUTES: Final = ("received", "accepted", "announced", "kernel")
_WATCH_S: Final = 2.0
_CLEAR: Final = "\x1b[H\x1b[2J"
Tests = Iterable[Callable[[Row], bool]]


def cluster_parser(program: str, version: str) -> argparse.ArgumentParser:
    """Return the parser of everything behind `--cluster`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Looks at podroute on every node through the Kubernetes API. Reads only.",
        epilog="Exit status: 0 fine; 1 the API server cannot be asked; 2 wrong usage; 3 doctor"
        " found something; 5 some nodes gave no answer (the others are shown). `peers` and `nodes`"
        " need read access to bgpnodestatuses and nodes, `events` to events; `routes`, `pods` and"
        " `doctor` need get and create of pods/exec, and list of pods, in podroute's namespace.",
    )
    parser.add_argument("--version", action="version", version=f"podroute {version}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add(commands, "nodes", "every node: ready or not, sessions, routes, drain")
    peers = _add(commands, "peers", "every BGP session of every node")
    peers.add_argument("--peer", action="append", default=[], help="only this peer; repeatable")
    peers.add_argument("--state", action="append", default=[], help="only sessions in this state")
    peers.add_argument("--down", action="store_true", help="only what is not established")
    routes = _add(commands, "routes", "routes of every node")
    routes.add_argument("kind", choices=_ROUTES)
    routes.add_argument(
        "prefix", nargs="?", type=_prefix, help="only this prefix and what lies in it"
    )
    routes.add_argument("--peer", action="append", default=[], help="only from this peer")
    pods = _add(commands, "pods", "pods of every node, with addresses and links")
    pods.add_argument("name", nargs="?", help="only pods with this in NAMESPACE/NAME")
    events = _add(commands, "events", "what the agents reported as Events, the oldest first")
    events.add_argument("--warnings", action="store_true", help="only warnings")
    _add(commands, "doctor", "what is wrong on every node, and what to do")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    view = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    add_output(view)
    view.add_argument(
        "--node", action="append", default=[], metavar="NAME", help="only this node; repeatable"
    )
    view.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=_WATCH_S,
        metavar="SECONDS",
        help=f"show it anew every so many seconds (default {_WATCH_S:g}), until Ctrl-C",
    )
    view.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="default $KUBECONFIG, or ~/.kube/config"
    )
    view.add_argument("--context", default="", help="of the kubeconfig; default its current one")
    view.add_argument(
        "-n",
        "--namespace",
        default="podroute",
        metavar="NAME",
        help="podroute's own",
    )
    view.set_defaults(view=name)
    return view


def _prefix(text: str) -> str:
    from bgp.nlri import Prefix, PrefixError

    try:
        return str(Prefix.parse(text))
    except PrefixError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run_cluster(options: argparse.Namespace, environment: dict[str, str]) -> int:
    """Ask, print, and again if it is to be watched; return the exit status."""
    from router.kube.access import AccessError
    from router.kube.errors import KubeError

    while True:
        try:
            rows, silent = _ask(options, environment)
        except ModuleNotFoundError as error:
            print(f"podroute --cluster needs podroute[kubernetes]: {error}", file=sys.stderr)
            return 1
        except (KubeError, AccessError, OSError) as error:
            print(f"podroute --cluster {options.view}: {error}", file=sys.stderr)
            return 1
        _print(options, rows, silent)
        for node, reason in silent.items():
            print(f"podroute: {node}: no answer: {reason}", file=sys.stderr)
        if options.watch is None:
            if silent:
                return SOME_SILENT_STATUS
            return FINDINGS_STATUS if options.view == "doctor" and rows else 0
        time.sleep(options.watch)


def _print(options: argparse.Namespace, rows: list[Row], silent: dict[str, str]) -> None:
    kind = getattr(options, "kind", options.view)
    view = {"accepted": "received"}.get(kind, kind)
    if options.watch is not None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        print((_CLEAR if sys.stdout.isatty() else "") + now)
    text = shown(
        {"items": rows, "silent": silent},
        options.output,
        lambda _: cluster_rows.render(view, rows, is_wide=False),
        lambda _: cluster_rows.render(view, rows, is_wide=True),
    )
    print(text, flush=True)


def _ask(
    options: argparse.Namespace, environment: dict[str, str]
) -> tuple[list[Row], dict[str, str]]:
    """Return the rows that are wanted, and the nodes that gave no answer, with why."""
    from router.kube.laptop import run

    rows, silent = run(access(options, environment), _questions(options))
    return cluster_rows.having(rows, _tests(options)), silent


def access(options: argparse.Namespace, environment: dict[str, str]) -> Access:
    """Return how to reach the API. Raises AccessError."""
    from router.kube.access import Access, AccessError

    home = Path(environment.get("HOME", "/"), ".kube/config")
    named = environment.get("KUBECONFIG", "").split(":")[0]
    path = options.kubeconfig or (Path(named) if named else home)
    if not path.exists():
        raise AccessError(f"no kubeconfig at {path} (--kubeconfig, $KUBECONFIG)")
    return Access(kubeconfig=path, context=options.context, user_agent="podroute-cluster")


def _tests(options: argparse.Namespace) -> Tests:
    yield from cluster_rows.equal("node", options.node)
    if options.view in ("peers", "routes") and getattr(options, "kind", "") not in (
        "announced",
        "kernel",
    ):
        yield from cluster_rows.equal("peer", options.peer)
    if options.view == "peers":
        yield from cluster_rows.equal("state", options.state)
        if options.down:
            yield lambda row: row["state"] != "established"
    if options.view == "routes" and options.prefix:
        yield cluster_rows.inside(options.prefix)
    if options.view == "pods" and options.name:
        yield lambda row: options.name in (row["pod"] or "")
    if options.view == "events" and options.warnings:
        yield lambda row: row["type"] == "Warning"


def _questions(options: argparse.Namespace) -> Callable[[Reader], Awaitable[Any]]:
    """Return what to ask a reader of the cluster."""
    kind = getattr(options, "kind", options.view)

    async def ask_agents(reader: Reader) -> tuple[list[Row], Any]:
        command, make = _OF_AGENTS[kind]
        accept = (0, FINDINGS_STATUS) if kind == "doctor" else (0,)
        answers = await reader.ask(options.namespace, [command], options.node, accept)
        return make(answers.by_node), answers.silent

    async def ask_objects(reader: Reader) -> tuple[list[Row], Any]:
        if kind == "events":
            return cluster_rows.events(await reader.events()), {}
        statuses = await reader.statuses()
        if kind == "peers":
            return cluster_rows.peers(statuses), {}
        return cluster_rows.nodes(statuses, await reader.nodes()), {}

    return ask_agents if kind in _OF_AGENTS else ask_objects


_OF_AGENTS: Final[Mapping[str, tuple[str, Callable[[Any], list[Row]]]]] = {
    "received": ("routes", cluster_rows.received),
    "accepted": ("routes", cluster_rows.accepted),
    "kernel": ("routes", cluster_rows.kernel),
    "announced": ("status", cluster_rows.announced),
    "pods": ("pods", cluster_rows.pods),
    "doctor": ("doctor", cluster_rows.doctor),
}
"""View -> what is asked of each node, and what makes rows of the answers."""
