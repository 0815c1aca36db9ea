"""`podroute status`, `peers`, `routes`, `services`: what the agent of this node says."""

from __future__ import annotations

import argparse
import sys

from router.cli.output import add_output, shown


def add_views(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    for name, text in (
        ("status", "what the route agent is doing"),
        ("peers", "BGP peers and their sessions"),
        ("routes", "learned prefixes, their paths, and whether they are in the kernel"),
        ("services", "addresses of Services, and whether this node announces them"),
    ):
        view = commands.add_parser(name, help=text, description=f"Shows {text}.")
        add_output(view)
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


def _run_view(options: argparse.Namespace) -> int:
    from router.cli import tables, tables_wide
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
    render, wide = tables.RENDER[options.view], tables_wide.RENDER.get(options.view)
    print(shown(answer, options.output, render, wide))
    return 0
