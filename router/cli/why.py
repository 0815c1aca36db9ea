"""`podroute why`: what becomes of one prefix or address on this node, and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from router.cli.output import add_output, shown
from router.cli.tables import table
from router.model.place import MAIN_TABLE

Json = Mapping[str, Any]
STATUS: Final[Mapping[str, int]] = {"works": 0, "does-not": 3, "unknown": 4}
"""Exit status by outcome; 1 is an agent that does not answer, 2 wrong usage."""


def add_why(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    why = commands.add_parser(
        "why",
        help="what becomes of a prefix, an address or a pod's address, and why",
        description="Exit status: 0 it is in use (learned and in the kernel; or ours and announced)"
        "; 1 the agent does not answer; 2 wrong usage; 3 it is known and not in use; 4 nobody"
        " has told us of it.",
    )
    why.add_argument("subject", metavar="PREFIX|ADDRESS", type=_subject)
    add_output(why)
    why.set_defaults(run=_run)


def _subject(text: str) -> str:
    from bgp.nlri import Prefix, PrefixError

    try:
        Prefix.parse(text)
    except PrefixError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _run(options: argparse.Namespace) -> int:
    from urllib.parse import quote

    from router.cli.client import AgentUnreachableError, LocalClient

    try:
        answer = LocalClient(options.run_dir).get(f"/v1/why?of={quote(options.subject, safe='')}")
    except AgentUnreachableError as error:
        print(f"podroute why: {error}", file=sys.stderr)
        return 1
    print(shown(answer, options.output, render))
    return STATUS[answer["outcome"]]


def render(answer: Json) -> str:
    """Return the verdict, then its grounds."""
    lines = [answer["verdict"]]
    for part in (_pod, _announced, _learned, _kernel):
        lines += part(answer)
    return "\n".join(lines)


def _pod(answer: Json) -> Iterator[str]:
    pod = answer["pod"]
    if answer["pods_problem"]:
        yield f"pod         not known: {answer['pods_problem']}"
    if pod is None:
        return
    name = f"{pod['namespace']}/{pod['pod']}" if pod["pod"] else "(no name)"
    link = pod["interface"] or pod["kind"]
    yield f"pod         {name}, container {pod['container_id'][:13]}, network {pod['network']}"
    yield f"link        {link}, {pod['ifname']} in the pod"
    if pod["no_host_route"]:
        yield f"            no host route to {', '.join(pod['no_host_route'])}"
    if pod["orphaned"]:
        yield "            orphaned: in no pod CIDR of the node"


def _announced(answer: Json) -> Iterator[str]:
    mine = answer["announced"]
    if mine is None:
        return
    yield f"announced   {mine['prefix']}, asked for by {mine['asked_for_by']}"
    if mine["why_not"]:
        yield f"            to nobody: {mine['why_not']}"
    rows: list[tuple[str, ...]] = [
        (each["peer"], f"since {each['since']}" if each["announced"] else f"no: {each['why_not']}")
        for each in mine["peers"]
    ]
    yield from _indented(("PEER", "ANNOUNCED"), rows)


def _learned(answer: Json) -> Iterator[str]:
    learned = answer["learned"]
    if learned is None:
        return
    asked = learned["asked_for_by"] or "nothing in the configuration"
    yield f"learned     {learned['prefix']}, asked for by {asked}"
    rows: list[tuple[str, ...]] = []
    for path in learned["paths"]:
        stale = "stale, " if path["stale"] else ""
        used = "best" if path["best"] else f"not best: {path['why_not_best']}"
        rows.append((*_of_path(path), f"accepted: {path['accepted_by']}", stale + used))
    rows += [
        (*_of_path(path), f"rejected: {path['by']}", path["reason"]) for path in learned["rejected"]
    ]
    if rows:
        yield from _indented(("PEER", "NEXT HOP", "AS PATH", "JUDGED", ""), rows)


def _of_path(path: Json) -> tuple[str, str, str]:
    return path["peer"], path["next_hop"], " ".join(map(str, path["as_path"]))


def _kernel(answer: Json) -> Iterator[str]:
    kernel = answer["kernel"]
    if kernel["installed"]:
        table_name = "main" if kernel["table"] == MAIN_TABLE else kernel["table"]
        where = f"metric {kernel['metric']}, table {table_name}"
        yield f"kernel      {kernel['prefix']}, {where}"
        yield from (f"            via {hop}" for hop in kernel["next_hops"])
    elif kernel["why_not"]:
        yield f"kernel      no: {kernel['why_not']}"
    if kernel["unreachable_route"]:
        yield "kernel      unreachable route: what no pod has answers at once"


def _indented(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield from (f"            {line}" for line in table(header, rows).splitlines())
