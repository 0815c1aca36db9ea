"""The process that keeps a lab up after `up` has returned, and how to start and stop it.

Run as `python -m containerlab.netlab.keeper FILE STATUS_FD`. It takes the lab's abstract socket
(which is the lock), brings the lab up, reports on the status pipe, then answers until it is told to
end or a SIGTERM does. Killed in any other way it takes the lab with it.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

from containerlab.netlab import registry
from containerlab.netlab.errors import KeeperError, LabError
from containerlab.netlab.lab import Lab

_DOWN_S = 30.0
_QUESTION_S = 5.0
_ROOT = Path(__file__).parents[2]


def start(path: Path) -> int:
    """Start a keeper for the topology file `path`; returns its pid once the lab is ready.

    Raises KeeperError if the lab is up already, or with what went wrong; nothing is left then.
    """
    path = path.absolute()
    reader, writer = os.pipe()
    try:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "containerlab.netlab.keeper", str(path), str(writer)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as status:
        keeper.wait()  # it goes to the background at once
        pid = int(status.readline() or 0)
        try:
            text = status.read()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            raise
    if text != "ready":
        raise KeeperError(text or "the keeper ended without a word")
    return pid


def stop(path: Path) -> None:
    """End the lab kept for `path` and wait until everything is gone; KeeperError if not up."""
    with registry.connect(path) as connection:
        pid, _ = registry.peer_credentials(connection)
        handle = os.pidfd_open(pid)
        try:
            connection.sendall(b'"down"\n')
            if not select.select([handle], [], [], _DOWN_S)[0]:
                raise KeeperError(f"keeper {pid} did not end within {_DOWN_S:.0f} s")
        finally:
            os.close(handle)


def _keep(path: Path, status: int) -> None:
    """Be the keeper."""
    stopped, stop_signal = socket.socketpair()
    stop_signal.setblocking(False)
    signal.set_wakeup_fd(stop_signal.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(registry.address(path))
    except OSError:
        name = registry.lab_name(path)
        raise KeeperError(f"lab {name} is already up; `down {name}` ends it") from None
    listener.listen()
    with Lab.up(path) as lab:
        signal.signal(signal.SIGTERM, lambda *_: None)
        os.write(status, b"ready")
        os.close(status)
        while True:
            ready = select.select([listener, stopped], [], [])[0]
            if stopped in ready and signal.SIGTERM in stopped.recv(4096):
                return
            if listener in ready and not _answer(listener, lab):
                return


def _answer(listener: socket.socket, lab: Lab) -> bool:
    """Serve one connection; False when told to end."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_QUESTION_S)
        if registry.peer_credentials(connection)[1] != 0:
            return True
        with connection.makefile("rb") as stream:
            question = stream.readline()
        if question == b'"down"\n':
            return False
        connection.sendall(json.dumps(_describe(lab)).encode())
    return True


def _describe(lab: Lab) -> dict[str, Any]:
    nodes = [node for node in lab.nodes.values() if node.is_running]
    return {
        "lab": lab.name,
        "keeper": os.getpid(),
        "nodes": [{"name": n.name, "pid": n.pid, "env": n.env} for n in nodes],
        "ends": [
            [[n.name, i.name], [i.other.node.name, i.other.name]]
            for n in nodes
            for i in n.interfaces.values()
        ],
    }


def main() -> None:
    """Run as a program: topology file and the number of the status pipe.

    Forks first, so that the keeper is nobody's child and whoever runs `up` has nothing to reap.
    """
    status = int(sys.argv[2])
    if os.fork():
        os._exit(0)
    _report(status, f"{os.getpid()}\n")
    try:
        _keep(Path(sys.argv[1]), status)
    except LabError as error:
        _report(status, str(error))
        sys.exit(1)
    except Exception:
        _report(status, traceback.format_exc())
        raise


def _report(status: int, text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(status, text.encode())


if __name__ == "__main__":
    main()
