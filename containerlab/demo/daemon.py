"""podroute's daemons on a lab node, started and killed as an init system would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from containerlab.netlab.node import Node

PODROUTE = Path(sys.executable).with_name("podroute")
LOG_DIR = "/run/demo"
STOP_S = 10.0
LEFT_FOR_GOOD: Final = 10
"""Exit status of an agent after `stop --withdraw`."""


class DaemonError(RuntimeError):
    """A daemon ended by itself, or did not end when told to."""


class Daemon:
    """One daemon of one node; its output goes to /run/demo/NAME.log in the node."""

    def __init__(self, node: Node, name: str, arguments: Sequence[str]) -> None:
        """Describe the daemon; ``start`` runs it."""
        self.node = node
        self.name = name
        self.arguments = tuple(arguments)
        self._process: subprocess.Popen[str] | None = None

    @property
    def log_path(self) -> str:
        """Where the daemon's output is, as the node sees it."""
        return f"{LOG_DIR}/{self.name}.log"

    @property
    def pid(self) -> int:
        """The pid of the running daemon in our pid namespace; DaemonError with its last words."""
        if self._process is None:
            raise DaemonError(f"{self.node.name}: {self.name} was not started")
        status = self._process.poll()
        if status is not None:
            raise DaemonError(
                f"{self.node.name}: {self.name} ended with status {status}:\n{self.log_tail()}"
            )
        return self._process.pid

    def start(self, *arguments: str, under: Sequence[str] = ()) -> float:
        """Start it, with *arguments* in place of the usual ones if any; return the moment before.

        The moment is CLOCK_MONOTONIC in seconds. *under* is a program that runs it, setpriv say.
        """
        outside = _outside(self.node, self.log_path)
        outside.parent.mkdir(exist_ok=True)
        with outside.open("ab") as log:
            moment = time.monotonic()
            self._process = self.node.popen(
                [*under, PODROUTE, *(arguments or self.arguments)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return moment

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of its output."""
        try:
            text = _outside(self.node, self.log_path).read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self, *also: int) -> None:
        """Kill -9 the daemon, and *also* these pids, at once; return when it is gone."""
        for pid in (self.pid, *also):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=STOP_S)

    def terminate(self) -> None:
        """Send SIGTERM and wait until it has ended; a daemon that already has is fine."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        self.wait_ended("SIGTERM")

    def wait_ended(self, why: str) -> None:
        """Wait until it has ended in order after *why*; DaemonError otherwise."""
        assert self._process is not None
        who = f"{self.node.name}: {self.name}"
        try:
            status = self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            raise DaemonError(f"{who} still runs {STOP_S:g} s after {why}") from None
        if status not in (0, LEFT_FOR_GOOD):
            raise DaemonError(f"{who}: status {status} after {why}:\n{self.log_tail()}")

    def speaker_pids(self) -> tuple[int, ...]:
        """Return the pids of the ExaBGP processes below this daemon; DaemonError if none."""
        found = tuple(pid for pid in descendants(self.pid) if b"exabgp" in _command(pid))
        if not found:
            raise DaemonError(f"{self.node.name}: {self.name} has no ExaBGP child")
        return found


def descendants(pid: int) -> tuple[int, ...]:
    """Return the pids of all children of *pid* and of theirs, whatever namespace they are in."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
    return tuple(found)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _outside(node: Node, path: str) -> Path:
    """Return a path that shows a node's file to us."""
    return Path(f"/proc/{node.pid}/root{path}")
