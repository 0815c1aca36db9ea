"""Shell: a node's namespaces as one process, and starting programs inside them.

`pid_namespace_for_children` is a property of the calling thread (setns(2), unshare(2)): only the
next children change. So a child of ours can be born inside a node's pid namespace while its handle
stays an ordinary Popen: `kill`, `wait` and `send_signal` reach the program itself, not a wrapper,
and a stopped or killed program is exactly that. `nsenter` without -p then enters the rest and
becomes the program.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from containerlab.netlab.errors import NodeError

CLONE_NEWPID = 0x20000000  # linux/sched.h

# A socket (SEQPACKET) keeps messages apart; the setup of a node is a few kB.
_MESSAGE_BYTES = 1 << 20
_ANSWER_S = 20.0

_LIBC = ctypes.CDLL(None, use_errno=True)

File = int | IO[Any] | None


def _call(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def _own_pid_namespace_after() -> Iterator[None]:
    """Let this thread's later children be born in its own pid namespace again."""
    own = os.open("/proc/thread-self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        try:
            _call(_LIBC.setns(own, CLONE_NEWPID))
        finally:
            os.close(own)


class Init:
    """The process that holds a node's namespaces; `pid` is its number in our pid namespace.

    Either started here (`start`) or found by its pid (`find`), as a second process does that looks
    into a lab somebody else keeps.
    """

    def __init__(
        self, node: str, pid: int, *, process: subprocess.Popen[bytes] | None = None,
        control: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self.node = node
        self.pid = pid
        self._process = process
        self._control = control
        self._pidfd = os.pidfd_open(pid)
        self._children: list[subprocess.Popen[Any]] = []

    @classmethod
    def start(cls, node: str) -> "Init":
        """Start an init in new namespaces; it waits for `configure`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        runner = os.pidfd_open(os.getpid())
        init = Path(__file__).with_name("init.py")
        fds = (theirs.fileno(), runner)
        unshare = ("unshare", "--net", "--mount", "--uts", "--ipc", "--propagation", "private")
        python = (sys.executable, "-I", "-S", str(init), *map(str, fds))
        try:
            with _own_pid_namespace_after():
                _call(_LIBC.unshare(CLONE_NEWPID))
                process = subprocess.Popen(
                    [*unshare, *python],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=fds,
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise NodeError(node, f"cannot make namespaces: {error.strerror}") from error
        finally:
            theirs.close()
            os.close(runner)
        return cls(node, process.pid, process=process, control=ours)

    @classmethod
    def find(cls, node: str, pid: int) -> "Init":
        """Return the handle of a running init; NodeError if it is gone."""
        try:
            return cls(node, pid)
        except OSError as error:
            raise NodeError(node, "is not running") from error

    def begin(self, setup: Mapping[str, object]) -> None:
        """Send the setup; `finish` waits for it, so that nodes build side by side."""
        with contextlib.suppress(BrokenPipeError):  # its death shows in finish()
            self._own_control.send(json.dumps(setup).encode())

    def finish(self) -> None:
        """Wait until the node is built; NodeError with the reason if it cannot be."""
        self._own_control.settimeout(_ANSWER_S)
        try:
            answer = self._own_control.recv(_MESSAGE_BYTES)
        except TimeoutError:
            raise NodeError(self.node, f"its init did not answer in {_ANSWER_S:.0f} s") from None
        except ConnectionError:
            answer = b""
        if answer != b"ready":
            raise NodeError(self.node, answer.decode() or "its init ended; are we root?")

    @property
    def _own_control(self) -> socket.socket:
        if self._control is None:
            raise NodeError(self.node, "was started by another process")
        return self._control

    @property
    def is_running(self) -> bool:
        """Tell whether the node still exists."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return not poller.poll(0)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: File = None,
        stdout: File = None,
        stderr: File = None,
        new_session: bool = False,
    ) -> subprocess.Popen[str]:
        """Start a program in all of the node's namespaces; it dies with the node."""
        if not self.is_running:
            raise NodeError(self.node, "is not running")
        enter = ("nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", "--ipc", "--")
        target = os.open(f"/proc/{self.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with _own_pid_namespace_after():
                _call(_LIBC.setns(target, CLONE_NEWPID))
                child = subprocess.Popen(
                    [*enter, *argv],
                    env=dict(env),
                    stdin=stdin,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=new_session,
                    text=True,
                )
        except OSError as error:
            raise NodeError(self.node, f"cannot start {argv[0]}: {error.strerror}") from error
        finally:
            os.close(target)
        self._children = [other for other in self._children if other.poll() is None]
        self._children.append(child)
        return child

    def kill(self) -> None:
        """Kill the init and with it everything inside; does not wait."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait_gone(self, deadline_s: float) -> None:
        """Wait until the node's last process is gone, reaping those we started.

        The kernel lets an init end only after every process of its pid namespace is reaped
        (zap_pid_ns_processes), so children of ours must be collected for it to end at all.
        """
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        waited_ms = 0
        while not poller.poll(5):
            waited_ms += 5
            for child in self._children:
                child.poll()
            if waited_ms > deadline_s * 1000:
                raise NodeError(self.node, f"still there {deadline_s:.0f} s after it was killed")
        for child in self._children:
            child.wait()
        if self._process:
            self._process.wait()

    def close(self) -> None:
        """Give up the handles; a node started here ends with them."""
        if self._control:
            self._control.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
