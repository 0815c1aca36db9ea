"""The CNI server's life: lock, rebuild, serve, end. SHELL."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Self

from cni.capabilities import lacking
from cni.server.dataplane import Dataplane, Gone
from cni.server.facts import FactsFile
from cni.server.forgotten import GRACE_S
from cni.server.lock import LockHeldError, ServerLock
from cni.server.loop import Loop
from cni.server.records import FileRecords
from cni.server.replay import Replay
from cni.server.run_watch import RunWatch
from cni.server.service import Service, Surroundings
from cni.server.spool import Spool

log = logging.getLogger(__name__)

RUN_DIR: Final = Path("/run/podroute")

_CAPABILITIES: Final = ("NET_ADMIN", "SYS_ADMIN")
"""The second enters the network namespace of a pod."""
_BACKLOG: Final = 1024
_NICE: Final = -10
_LOCK_WAIT_S: Final = 10.0
_CLEANUP_DEADLINE_S: Final = 10.0
_FINISH_DEADLINE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where the server finds and leaves things. The shim has the first two compiled in.

    ``sandbox_dir`` and its grace: see ``cni.server.forgotten``.
    """

    socket_path: Path = RUN_DIR / "cni.sock"
    spool_dir: Path = RUN_DIR / "spool"
    node_facts_path: Path = RUN_DIR / "node.json"
    lock_path: Path = RUN_DIR / "cni.lock"
    labels_dir: Path = RUN_DIR / "labels"
    leases_dir: Path = RUN_DIR / "leases"
    sandbox_dir: Path | None = None
    sandbox_grace_s: float = GRACE_S

    @classmethod
    def under(cls, run_dir: Path, sandbox_dir: Path | None = None) -> Self:
        """Return the settings with everything under another directory."""
        return cls(
            socket_path=run_dir / "cni.sock",
            spool_dir=run_dir / "spool",
            node_facts_path=run_dir / "node.json",
            lock_path=run_dir / "cni.lock",
            labels_dir=run_dir / "labels",
            leases_dir=run_dir / "leases",
            sandbox_dir=sandbox_dir,
        )


class StuckLinkError(Exception):
    """Unfinished links that the kernel does not remove: to serve beside them would be wrong."""


def serve(settings: ServerSettings, dataplane: Dataplane) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. Closes the dataplane.

    To be called from the main thread (signals). Nothing in the kernel is written before the lock is
    held; the socket appears only when the server knows every attachment.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(dataplane.close)
        settings.socket_path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            lock = ServerLock(settings.lock_path, wait_s=_LOCK_WAIT_S)
        except LockHeldError as error:
            log.error("not started", extra={"error": str(error)})
            return 1
        stack.callback(lock.release)
        _raise_descriptor_limit()
        # Pods start while others are busy, and every caller of a burst waits for this one thread.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        news = RunWatch(settings.node_facts_path, settings.spool_dir)
        stack.callback(news.close)
        spool = Spool(settings.spool_dir, news.take_spool)
        surroundings = Surroundings(
            labels=FileRecords(settings.labels_dir),
            leases=FileRecords(settings.leases_dir),
            sandbox_dir=settings.sandbox_dir,
            sandbox_grace_s=settings.sandbox_grace_s,
            lacking=lacking(Path("/proc/self/status").read_text(), _CAPABILITIES),
        )
        facts_file = FactsFile(settings.node_facts_path, news.take_facts)
        service = Service(dataplane, facts_file, surroundings=surroundings)
        try:
            _remove_unfinished(service, dataplane)
        except StuckLinkError as error:
            log.error("not started", extra={"error": str(error)})
            return 1
        listener = _listen(settings.socket_path)
        stack.callback(listener.close)
        loop = Loop(service, dataplane, Replay(service, spool), listener, news)
        # What lives now lives as long as the server: no collection needs to look at it again.
        gc.collect()
        gc.freeze()
        with _stop_on_signals(loop):
            log.info("serving", extra={"path": str(settings.socket_path)})
            loop.run()
            # The name first: whoever finds no server now waits for the next one.
            settings.socket_path.unlink(missing_ok=True)
            loop.finish(_FINISH_DEADLINE_S)
        log.info("stopped")
        return 0


def _remove_unfinished(service: Service, dataplane: Dataplane) -> None:
    """Learn the attachments, and remove what a killed server left half made or half removed."""
    left = {link.index: link for link in service.rebuild()}
    if not left:
        return
    dataplane.remove(tuple(left))
    until = time.monotonic() + _CLEANUP_DEADLINE_S
    while left:
        remaining_s = until - time.monotonic()
        if remaining_s <= 0:
            raise StuckLinkError(", ".join(link.link for link in left.values()))
        select.select([dataplane.fileno()], [], [], remaining_s)
        for event in dataplane.collect():
            service.note(event)
            if not isinstance(event, Gone):
                continue
            if event.error is None:
                left.pop(event.index, None)
            else:
                raise StuckLinkError(event.error)


def _listen(path: Path) -> socket.socket:
    """Return a listening socket under ``path``, which appears only once it listens and is 0600."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.setblocking(False)
    before = os.umask(0o177)
    try:
        listener.bind(str(temporary))
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    temporary.replace(path)
    return listener


def _raise_descriptor_limit() -> None:
    """Two descriptors per caller, one per worker: the usual soft limit of 1024 is close."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _stop_on_signals(loop: Loop) -> Iterator[None]:
    """Stop the loop on SIGTERM and SIGINT, waking it up."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.stop()

    loop.watch(reader.fileno())
    wake_before = signal.set_wakeup_fd(writer.fileno())
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        signal.set_wakeup_fd(wake_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
