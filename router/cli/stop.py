"""`podroute stop`: end the route agent, and be done when it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

END_S: Final = 8.0
"""The speaker has 5 s of it. With a withdrawal (10 s) it fits into the unit's TimeoutStopSec."""


def add_stop(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    stop = commands.add_parser("stop", help="end the route agent of this node")
    stop.add_argument(
        "--withdraw",
        action="store_true",
        help="first withdraw everything and wait until the peers have it",
    )
    stop.set_defaults(run=lambda options: stop_agent(options.run_dir, withdraw=options.withdraw))


def stop_agent(run_dir: Path, *, withdraw: bool, wait_s: float = END_S) -> int:
    """End it, wait until it has ended, at most `wait_s` seconds; return the exit status."""
    from router.agent.lock import holder_of, wait_released
    from router.cli.client import AgentUnreachableError, LocalClient

    lock = run_dir / "router.lock"
    holder = holder_of(lock)
    try:
        answer = LocalClient(run_dir).post("/v1/stop", {"withdraw": withdraw})
    except AgentUnreachableError as error:
        print(f"podroute stop: {error}", file=sys.stderr)
        return 1
    status = _tell(answer) if withdraw else _tell_kept()
    # In the agent's own container this process ends with the agent: what is said is said now.
    sys.stdout.flush()
    if not wait_released(lock, holder, wait_s):
        print(
            f"podroute stop: the route agent (pid {holder}) has not ended within {wait_s:g} s and"
            f" still holds {lock}: no other can start until it has; its log says what it waits for",
            file=sys.stderr,
        )
        return 1
    return status


def _tell_kept() -> int:
    print("The route agent stops. Its announcements stay with the peers until their")
    print("graceful-restart time ends, so that a new agent takes over without loss.")
    return 0


def _tell(answer: Mapping[str, Any]) -> int:
    """Say what became of the withdrawal; return the exit status."""
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
