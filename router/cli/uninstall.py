"""`podroute uninstall`: take everything of podroute away from this node."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.cli.cni import BIN_DIR, CONF_DIR
from router.cli.refusal import in_words

if TYPE_CHECKING:
    from cni.server.dataplane import Dataplane

SANDBOX_DIR: Final = Path("/run/netns")
_LOCK_WAIT_S: Final = 5.0

Commands = argparse._SubParsersAction


class UninstallError(Exception):
    """Nothing, or not everything, was removed; the text says why and what to do."""


def add_uninstall(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    uninstall = commands.add_parser(
        "uninstall",
        help="take everything of podroute away from this node; the daemons must be stopped",
    )
    uninstall.add_argument("--bin-dir", type=Path, default=BIN_DIR, metavar="DIR")
    uninstall.add_argument("--conf-dir", type=Path, default=CONF_DIR, metavar="DIR")
    uninstall.add_argument(
        "--sandbox-dir",
        type=Path,
        default=SANDBOX_DIR,
        metavar="DIR",
        help=f"where the runtime keeps its sandboxes, default {SANDBOX_DIR}: a pod whose sandbox"
        " has a file there lives",
    )
    uninstall.add_argument(
        "--all-pods", action="store_true", help="remove the links of living pods too"
    )
    uninstall.add_argument(
        "--kubernetes",
        action="store_true",
        help="also take condition, taint and BGPNodeStatus off our Node",
    )
    uninstall.add_argument("--node", metavar="NAME", help="default: $PODROUTE_NODE, else host name")
    uninstall.add_argument("--api", default="", metavar="URL", help="address of the API server")
    uninstall.add_argument("--kubeconfig", type=Path, metavar="FILE", help="outside a pod")
    uninstall.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from router.kernel.errors import KernelError

    try:
        with _nobody_else(options.run_dir):
            for line in _remove(options):
                print(line)
    except (UninstallError, KernelError, OSError, ValueError) as error:
        print(f"podroute uninstall: {in_words(error)}", file=sys.stderr)
        return 1
    _remove_run_dir(options.run_dir)
    return 0


def _remove(options: argparse.Namespace) -> Iterator[str]:
    """Remove everything in the order that leaves no moment of half a network.

    First what lets new pods come, then what carries packets, then what others see of us; the
    record of the sysctls last, so that a run that failed can be repeated.
    """
    from router.cli.plugin_files import uninstall
    from router.kernel import podlink_filter_wire, service_filter_wire
    from router.kernel.podlink import open_dataplane

    dataplane = open_dataplane(options.proc_sys)
    try:
        indexes = _links(options, dataplane)
        yield from uninstall(options.bin_dir, options.conf_dir)
        yield from _remove_pods(dataplane, indexes)
        yield from _remove_table(podlink_filter_wire.TABLE)
    finally:
        dataplane.close()
    yield from _remove_routes()
    yield from _remove_table(service_filter_wire.TABLE)
    yield from _restore_sysctls(options)
    yield from _forget_drain(options.state_dir)
    if options.kubernetes:
        yield from _leave_node(options)


def _links(options: argparse.Namespace, dataplane: Dataplane) -> dict[int, str]:
    """Return the links to remove by index. Raises UninstallError when pods live."""
    from router.kernel.podlink_leaving import find_links, look_at_sandboxes
    from router.reconcile.removal import living

    links = find_links(dataplane)
    if not options.all_pods:
        sandboxes = look_at_sandboxes(dataplane, options.sandbox_dir)
        alive = living(links, sandboxes)
        if alive:
            why = "" if sandboxes.known else f" ({options.sandbox_dir} does not say which live)"
            raise UninstallError(
                f"pods still use {', '.join(link.name for link in alive)}{why}; nothing was"
                " removed. Delete the node's pods (`podroute pods` lists them), or cut them off"
                " with --all-pods"
            )
    return {link.index: link.name for link in links}


def _remove_pods(dataplane: Dataplane, links: dict[int, str]) -> Iterator[str]:
    from router.kernel.podlink_leaving import remove_links

    problems = remove_links(dataplane, links)
    if problems:
        raise UninstallError("; ".join(problems))
    yield from (f"removed pod link {name}" for name in links.values())


def _remove_routes() -> Iterator[str]:
    from router.kernel.channel import Channel
    from router.kernel.fib import FibTable
    from router.kernel.rules import RuleTable
    from router.model.place import MAIN
    from router.reconcile.removal import plan_fib_removal
    from router.reconcile.rules import plan_rules

    with Channel() as channel:
        table = FibTable(channel)
        # First, so that what they use belongs to nobody.
        elsewhere = table.remove_elsewhere()
        plan = plan_fib_removal(table.observe())
        refusals = table.apply(plan)
        rules = RuleTable(channel)
        leaving = plan_rules(rules.observe(), MAIN, keep_others=False)
        rules.apply(leaving)
    yield from (operation.describe() for operation in plan)
    yield from (f"delete {rule.describe()}" for rule in leaving.remove)
    if elsewhere:
        yield f"delete {elsewhere} learned routes from other tables"
    if refusals:
        raise UninstallError(
            "; ".join(f"{r.operation.describe()}: {os.strerror(r.errno)}" for r in refusals)
        )


def _remove_table(name: str) -> Iterator[str]:
    from router.kernel.nf_tables_removal import remove_table

    if remove_table(name):
        yield f"removed nftables table inet {name}"


def _restore_sysctls(options: argparse.Namespace) -> Iterator[str]:
    from router.kernel.sysctl import Sysctls
    from router.reconcile.sysctl_found import plan_restore

    sysctls = Sysctls(options.proc_sys, options.run_dir / "sysctls.json")
    found = sysctls.found()
    for write in plan_restore(found, sysctls.read(value.key for value in found)):
        sysctls.restore(write.key, write.value)
        yield write.describe()


def _forget_drain(state_dir: Path) -> Iterator[str]:
    """Remove our state; the directory, too, where it is no mount of a container."""
    for path in (*state_dir.glob("drain.*"), *state_dir.glob("configuration.*")):
        path.unlink()
        yield f"removed {path}"
    with contextlib.suppress(OSError):
        state_dir.rmdir()


def _leave_node(options: argparse.Namespace) -> Iterator[str]:
    from router.cli.router import cluster_settings
    from router.kube.errors import KubeError
    from router.kube.farewell import take_back

    try:
        yield from take_back(cluster_settings(options, os.environ))
    except KubeError as error:
        raise UninstallError(f"the Node still speaks of us: {error}") from error


@contextlib.contextmanager
def _nobody_else(run_dir: Path) -> Iterator[None]:
    """Hold the locks of both daemons. Raises UninstallError when one runs."""
    from cni.server.lock import LockHeldError, ServerLock
    from router.agent.lock import AlreadyRunningError, agent_lock

    run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        with agent_lock(run_dir / "router.lock", wait_s=_LOCK_WAIT_S):
            server = ServerLock(run_dir / "cni.lock", wait_s=_LOCK_WAIT_S)
            try:
                yield
            finally:
                server.release()
    except (AlreadyRunningError, LockHeldError) as error:
        raise UninstallError(
            f"{error}; stop the daemons first (delete the DaemonSet, or `podroute stop --withdraw`"
            " and systemctl disable --now podroute-router podroute-cni); nothing was removed"
        ) from None


def _remove_run_dir(run_dir: Path) -> None:
    """Remove the content, and the directory where it is no mount of a container."""
    for path in tuple(run_dir.iterdir()):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    print(f"removed everything in {run_dir}")
    with contextlib.suppress(OSError):
        run_dir.rmdir()
