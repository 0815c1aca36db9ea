"""Throw-away network namespaces, without a trace in the root namespace.

A namespace here is a process: an init that holds new network, mount, pid and UTS namespaces, waits
on a pipe to us and reaps what is orphaned. Closing the pipe, or our death by any signal, ends the
init, with it the pid namespace, and with that everything that ran inside: no name in /run/netns, no
list of pids to keep.

Needs root. Never move a command's stopped child: nsenter stops with its child (kill or continue the
program itself, see ``inner_pid``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Reaps orphans; ends when standard input does. Runs with -I -S: starts in about 15 ms.
_INIT = r"""
import os, select, signal
reader, writer = os.pipe()
os.set_blocking(reader, False)
os.set_blocking(writer, False)
signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
signal.signal(signal.SIGCHLD, lambda *_: None)
os.write(1, b"ready\n")
while True:
    ready, _, _ = select.select([0, reader], [], [])
    if 0 in ready and not os.read(0, 1):
        os._exit(0)
    if reader in ready:
        os.read(reader, 4096)
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""

_SETUP = """
ip link set lo up
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
"""


class Namespace:
    """One node of a test: run programs inside, until ``close``."""

    def __init__(self, name: str) -> None:
        """Create the namespaces, with lo up and a private empty /run; OSError if not permitted."""
        self.name = name
        argv = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        argv += ["--mount-proc", "--propagation", "private"]
        self._holder = subprocess.Popen(
            [*argv, sys.executable, "-I", "-S", "-c", _INIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != b"ready\n":
            text = self._holder.stderr.read().decode(errors="replace").strip()
            self.close()
            raise OSError(f"namespace {name}: {text}")
        self.pid = _only_child(self._holder.pid)
        self.run(["hostname", name])
        self.run(["sh", "-ec", _SETUP])

    def __repr__(self) -> str:
        return f"Namespace({self.name!r}, pid={self.pid})"

    def argv(self, argv: Sequence[str | Path]) -> list[str]:
        """Return the command line that runs *argv* inside."""
        enter = ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--"]
        return [*enter, *map(str, argv)]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        timeout_s: float = 10,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run *argv* inside to its end; AssertionError with its output if *check* and it fails."""
        done = subprocess.run(
            self.argv(argv),
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=env,
            input=input or "",
        )
        if check and done.returncode != 0:
            command = " ".join(map(str, argv))
            raise AssertionError(
                f"{self.name}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def popen(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
        """Start *argv* inside (pipes are text); it dies with the namespace at the latest.

        The handle is nsenter's: its exit status is the program's, but signals go to ``inner_pid``.
        """
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.argv(argv), text=True, **options)

    def kill(self, process: subprocess.Popen[Any], signum: int = signal.SIGKILL) -> None:
        """Send *signum* to the program behind *process* (see ``popen``), if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner_pid(process), signum)

    def write_sysctl(self, key: str, value: str | int) -> None:
        """Set net.* *key* (dots) inside."""
        path = "/proc/sys/" + key.replace(".", "/")
        self.run(["sh", "-c", 'printf %s "$2" > "$1"', "sh", path, str(value)])

    def describe(self) -> str:
        """Return links, addresses, routes and rules: what a failed test wants to know."""
        script = "ip -d addr; ip rule; ip nexthop; ip route; ip -6 route"
        return self.run(["sh", "-c", script], check=False).stdout

    def close(self) -> None:
        """End everything inside; idempotent."""
        for stream in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            if stream is not None:
                stream.close()
        try:
            self._holder.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()


@contextlib.contextmanager
def namespaces(*names: str) -> Iterator[tuple[Namespace, ...]]:
    """Make one namespace for each name; all are gone at the end of the block."""
    with contextlib.ExitStack() as stack:
        made = []
        for name in names:
            made.append(stack.enter_context(contextlib.closing(Namespace(name))))
        yield tuple(made)


def join(
    left: Namespace, left_ifname: str, right: Namespace, right_ifname: str, *, mtu: int = 1500
) -> None:
    """Join two namespaces by a veth pair, both ends up; the root namespace never sees it."""
    # Runs in the network namespace of the left, but in our pid namespace: there the pid is valid.
    subprocess.run(
        [
            *("nsenter", "-t", str(left.pid), "-n", "ip", "link", "add", "name", left_ifname),
            *("mtu", str(mtu), "type", "veth", "peer", "name", right_ifname),
            *("mtu", str(mtu), "netns", str(right.pid)),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    left.run(["ip", "link", "set", left_ifname, "up"])
    right.run(["ip", "link", "set", right_ifname, "up"])


def inner_pid(process: subprocess.Popen[Any]) -> int:
    """Return the program's pid, as we see it, behind an nsenter that ``popen`` started."""
    return _only_child(process.pid)


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            found = children.read_text().split()
        except FileNotFoundError:
            break
        if found:
            return int(found[0])
        time.sleep(0.001)
    raise ProcessLookupError(f"process {pid} has no child")
