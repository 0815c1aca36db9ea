"""`podroute cni` and its subcommands: what is said on the command line, and what it starts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from router.cli.refusal import in_words

BIN_DIR: Final = Path("/opt/cni/bin")
CONF_DIR: Final = Path("/etc/cni/net.d")

Commands = argparse._SubParsersAction


def add_cni(
    commands: Commands[argparse.ArgumentParser],
    add_logging: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add `cni`, `cni install` and `cni uninstall`."""
    cni = commands.add_parser("cni", help="run the CNI server (daemon), or install the plugin")
    add_logging(cni)
    cni.add_argument(
        "--sandbox-dir",
        type=Path,
        metavar="DIR",
        help="remove pod links whose sandbox has had no file in DIR (usually /run/netns) for a"
        " minute; only where every runtime of the node keeps its sandboxes there",
    )
    cni.set_defaults(run=_run_server)
    actions = cni.add_subparsers(metavar="ACTION")
    for name, text, run in (
        ("install", "put plugin and network configuration in place", _run_install),
        ("uninstall", "remove what install has put in place", _run_uninstall),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("--bin-dir", type=Path, default=BIN_DIR, metavar="DIR")
        action.add_argument("--conf-dir", type=Path, default=CONF_DIR, metavar="DIR")
        action.set_defaults(run=run)
        if name == "install":
            action.add_argument(
                "--conflist",
                type=Path,
                metavar="FILE",
                help="install this network configuration instead of the default one",
            )


def _run_server(options: argparse.Namespace) -> int:
    from cni.server.app import ServerSettings, serve
    from router.agent.logs import set_up_logs
    from router.kernel.podlink import open_dataplane

    set_up_logs(options.log_level, options.log_format, hold_back=True)
    settings = ServerSettings.under(options.run_dir, options.sandbox_dir)
    return serve(settings, open_dataplane(options.proc_sys))


def _run_install(options: argparse.Namespace) -> int:
    from router.cli.plugin_files import InstallError, install

    try:
        done = install(options.bin_dir, options.conf_dir, options.conflist)
    except (InstallError, OSError) as error:
        print(f"podroute cni install: {in_words(error)}", file=sys.stderr)
        return 1
    for line in done.changes or ("everything is in place",):
        print(line)
    for line in done.warnings:
        print(f"warning: {line}", file=sys.stderr)
    return 0


def _run_uninstall(options: argparse.Namespace) -> int:
    from router.cli.plugin_files import uninstall

    try:
        changes = uninstall(options.bin_dir, options.conf_dir)
    except OSError as error:
        print(f"podroute cni uninstall: {in_words(error)}", file=sys.stderr)
        return 1
    for line in changes or ("nothing was there",):
        print(line)
    if changes and (left := _count_pod_links()):
        print(
            f"warning: {left} pod links of podroute are still there; runtimes find no plugin to"
            " delete them with, and try again until one is installed",
            file=sys.stderr,
        )
    return 0


def _count_pod_links() -> int:
    from router.kernel.errors import KernelError
    from router.kernel.podlink import open_dataplane

    try:
        dataplane = open_dataplane()
    except KernelError:
        return 0
    try:
        return len(dataplane.observe())
    except KernelError:
        return 0
    finally:
        dataplane.close()
