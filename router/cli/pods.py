"""`podroute pods`: attachments of this node, from its CNI server or straight from the kernel."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from router.agent.cni_door import ask_server
from router.cli.output import add_output, shown
from router.cli.refusal import in_words
from router.cli.tables import duration, table
from router.kernel.errors import KernelError

Json = Mapping[str, Any]
ASK_AS_ROOT: Final = "only root may ask the CNI server; run it as root"


def add_pods(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `pods`."""
    pods = commands.add_parser("pods", help="pod links and leases of this node")
    add_output(pods)
    pods.set_defaults(run=_run_pods)


def _run_pods(options: argparse.Namespace) -> int:
    try:
        answer = ask_server(options.run_dir)
    except PermissionError:
        print(f"podroute pods: {ASK_AS_ROOT}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"podroute pods: the CNI server does not answer: {error}; see systemctl status"
            " podroute-cni, or the log of its container. This is what the kernel has. Pods keep"
            " working; new ones wait.",
            file=sys.stderr,
        )
        try:
            answer = look_at_kernel(options.run_dir)
        except (OSError, KernelError) as failure:
            print(f"podroute pods: cannot read it ({in_words(failure)})", file=sys.stderr)
            return 1
    now = time.time()
    print(
        shown(
            answer,
            options.output,
            lambda it: render(it, now),
            lambda it: render(it, now, is_wide=True),
        )
    )
    return 0


def look_at_kernel(run_dir: Path) -> Json:
    """Return the same from links, labels, leases and node facts, without a server."""
    from cni.server.offline import read_overview
    from router.kernel.podlink import open_dataplane

    dataplane = open_dataplane()
    try:
        overview: Json = json.loads(read_overview(dataplane, run_dir).render())
    finally:
        dataplane.close()
    return overview


def render(answer: Json, now: float, *, is_wide: bool = False) -> str:
    """Return one line per attachment, then the pools. ``now`` is Unix time."""
    header = ("POD", "CONTAINER", "IFNAME", "ADDRESSES", "INTERFACE", "NETWORK", "FOR", "NOTE")
    rows = [
        (
            f"{pod['namespace']}/{pod['pod']}" if pod["pod"] else "-",
            pod["container_id"][: None if is_wide else 13] or "-",
            pod["ifname"],
            ",".join(pod["addresses"]),
            pod["interface"] or "-",
            pod["network"],
            duration(now - pod["since"]) if pod["since"] else "-",
            _note(pod),
        )
        for pod in answer["pods"]
    ]
    lines = [table(header, rows)]
    lines += [
        f"pool {pool['name']}: {pool['in_use']} of {pool['size']} usable addresses in use"
        for pool in answer["pools"]
    ]
    if answer["restored"]:
        lines.append(f"{answer['restored']} host routes and neighbors restored since start")
    if answer["restore_failures"]:
        lines.append(
            f"{answer['restore_failures']} times since start the kernel refused to restore one;"
            " the log says why"
        )
    if answer.get("filter_problem"):
        lines.append(answer["filter_problem"])
    return "\n".join(lines)


def _note(pod: Json) -> str:
    notes = [] if pod["kind"] == "pod link" else [pod["kind"]]
    if pod["no_host_route"]:
        notes.append(f"no host route to {', '.join(pod['no_host_route'])}")
    if pod["orphaned"]:
        notes.append("orphaned: in no pod CIDR of the node")
    return ", ".join(notes)
