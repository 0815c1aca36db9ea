"""`python -m containerlab.netlab up|down|exec|list`: labs from the command line.

NAME is a folder beside this package that holds a `*.clab.yml`, or the path of such a file.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from containerlab.netlab import keeper, registry
from containerlab.netlab.errors import LabError
from containerlab.netlab.lab import Lab
from containerlab.netlab.schema import hint

FABRICS = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 if it worked, 1 with one message if not, `exec` with its own status."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev lab",
        description="Run a fabric without Docker.",
        epilog="./dev lab start NAME: podroute and a pod on every node of a fabric that is up.",
    )
    commands = parser.add_subparsers(required=True, metavar="up|start|down|exec|list")
    for name, text, command in (
        ("up", "bring a lab up and leave it running", _up),
        ("down", "end a running lab", _down),
    ):
        sub = commands.add_parser(name, help=text)
        sub.add_argument("name", metavar="NAME")
        sub.set_defaults(command=command)
    execute = commands.add_parser("exec", help="run a program in a node of a running lab")
    execute.add_argument("name", metavar="NAME")
    execute.add_argument("node", metavar="NODE")
    execute.add_argument("argv", metavar="CMD", nargs=argparse.REMAINDER)
    execute.set_defaults(command=_exec)
    listing = commands.add_parser("list", help="list labs, or the nodes of one that is up")
    listing.add_argument("name", metavar="NAME", nargs="?")
    listing.set_defaults(command=_list)
    return parser


def fabrics() -> dict[str, Path]:
    """Return the topology file of every fabric folder, by folder name."""
    files: dict[str, Path] = {}
    for path in sorted(FABRICS.glob("*/*.clab.yml")):
        files.setdefault(path.parent.name, path)
    return files


def _find(name: str) -> Path:
    path = Path(name)
    if name.endswith(".clab.yml") and path.is_file():
        return path
    files = fabrics()
    if name not in files:
        known = ", ".join(files) or "none"
        raise LabError(
            f"no lab {name!r}{hint(name, files)}; there is: {known}; {_which_are_up()};"
            " ./dev lab up NAME starts one"
        )
    return files[name]


def _which_are_up() -> str:
    kept = registry.kept_addresses()
    names = [name for name, path in fabrics().items() if registry.address(path) in kept]
    return f"up now: {', '.join(names) or 'none'}"


def _find_up(name: str) -> Path:
    path = _find(name)
    if registry.address(path) not in registry.kept_addresses():
        raise LabError(f"lab {name} is not up; {_which_are_up()}; start it: ./dev lab up {name}")
    return path


def attach(name: str) -> Lab:
    """Return the running lab NAME; LabError that says which are up and how to start it if none."""
    return Lab.attach(_find_up(name))


def _up(arguments: argparse.Namespace) -> int:
    path = _find(arguments.name)
    began = time.monotonic()
    pid = keeper.start(path)
    took_s = time.monotonic() - began
    print(f"lab {arguments.name} is up after {took_s:.1f} s (keeper {pid})")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    keeper.stop(_find_up(arguments.name))
    print(f"lab {arguments.name} is down")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    lab = attach(arguments.name)
    argv = arguments.argv[1:] if arguments.argv[:1] == ["--"] else arguments.argv
    if not argv:
        raise LabError(f"exec {arguments.name} {arguments.node}: a command is missing")
    if arguments.node not in lab.nodes:
        known = ", ".join(lab.nodes)
        unknown = f"no node {arguments.node!r}{hint(arguments.node, lab.nodes)}"
        raise LabError(f"{unknown}; lab {arguments.name} has: {known}")
    return lab.nodes[arguments.node].foreground(argv)


def _list(arguments: argparse.Namespace) -> int:
    kept = registry.kept_addresses()
    if arguments.name:
        for node in registry.ask(_find_up(arguments.name), "describe")["nodes"]:
            print(f"{node['name']}\tpid {node['pid']}")
        return 0
    for name, path in fabrics().items():
        print(f"{name}\t{'up' if registry.address(path) in kept else 'down'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
