"""Run the route agent: read its file, open what it needs, turn the loop, end in order."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bgp.secret import Secret
from bgp.speaker.process import Speaker, SpeakerProcessSettings
from router.agent import view
from router.agent.api import Handler, LocalApi, RequestError
from router.agent.core import RouteAgent, Shells
from router.agent.node_file import NodeFile
from router.agent.requests import Inbox, Wake
from router.config.file import ConfigFile
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.kernel.channel import Channel
from router.kernel.fib import FibTable
from router.kernel.link import LinkTable
from router.kernel.monitor import Monitor
from router.kernel.protocols import LEARNED_DEFAULT_METRIC, LEARNED_METRIC
from router.kernel.sysctl import Sysctls
from router.reconcile.learned import Metrics

_log = logging.getLogger(__name__)
_ASK_S: Final = 10.0
_WITHDRAW_S: Final = 10.0
_SPEAKER_STOP_S: Final = 5.0
_MAX_PASSWORD_FILE: Final = 4096


class AlreadyRunningError(Exception):
    """Another agent holds the lock of this node."""


def read_settings(path: Path) -> AgentSettings:
    """Read the configuration. Raises OSError, or ConfigError naming every problem."""
    return load_settings(
        path.read_text(),
        source=str(path),
        surroundings=Surroundings(host_name=socket.gethostname(), read_password=read_password),
    )


def read_password(path: str) -> Secret:
    """Read a password file; raises OSError or SecretError."""
    with Path(path).open("rb") as file:
        return Secret(file.read(_MAX_PASSWORD_FILE).rstrip(b"\r\n"))


@dataclass(slots=True)
class _Ending:
    """Why and how the loop ends."""

    requested: bool = False
    withdraw_until: float | None = None
    withdrawn: bool | None = None
    """The outcome, once it is known."""
    listeners: list[threading.Event] = field(default_factory=list)


def run_router(config: Path, run_dir: Path, proc_sys: Path) -> int:
    """Run until told to stop; return the exit status.

    The node's sysctls are read and written below `proc_sys`, usually /proc/sys.
    Raises ConfigError, OSError or AlreadyRunningError before anything was changed.
    """
    file = ConfigFile(config, read_settings)
    settings = file.first()
    run_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_lock(run_dir / "router.lock"))
        wake = Wake()
        speaker = Speaker(
            SpeakerProcessSettings(
                run_dir=run_dir / "speaker", uid=settings.speaker_uid, gid=settings.speaker_gid
            ),
            wake,
        )
        stack.callback(speaker.stop, _SPEAKER_STOP_S)
        channel = stack.enter_context(Channel())
        table = FibTable(channel)
        monitor = Monitor(table.port_id, wake)
        stack.callback(monitor.close)
        links = LinkTable()
        stack.callback(links.close)
        agent = RouteAgent(
            settings,
            Shells(
                fib=table,
                links=links,
                monitor=monitor,
                sysctls=Sysctls(proc_sys),
                speaker=speaker,
                publish=NodeFile(run_dir / "node.json").publish,
            ),
            Metrics(learned=LEARNED_METRIC, default=LEARNED_DEFAULT_METRIC),
        )
        inbox = Inbox(wake)
        ending = _Ending()
        api = LocalApi(run_dir / "router.sock", _routes(agent, inbox, ending))
        stack.callback(api.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _request_end(ending, wake))
        _log.info("route agent started", extra={"node": settings.node, "config": str(config)})
        _loop(agent, file, inbox, wake, ending)
        # The answer to `stop` leaves before the socket does.
        for listener in ending.listeners:
            listener.set()
        _log.info("route agent stops", extra={"withdrawn": ending.withdrawn})
    return 0


def _request_end(ending: _Ending, wake: Wake) -> None:
    ending.requested = True
    wake()


def _loop(agent: RouteAgent, file: ConfigFile, inbox: Inbox, wake: Wake, ending: _Ending) -> None:
    while not ending.requested:
        _follow(agent, file)
        wake.wait(agent.step())
        inbox.serve()
        if ending.withdraw_until is not None:
            agent.withdrawing = True
            agent.step()
            if agent.is_withdrawn():
                ending.withdrawn = ending.requested = True
            elif time.monotonic() >= ending.withdraw_until:
                ending.withdrawn, ending.requested = False, True
            else:
                wake.wait(0.01)


def _follow(agent: RouteAgent, file: ConfigFile) -> None:
    """Put a changed file in force, or say why it is not."""
    before = file.problem
    changed = file.changed()
    if changed is not None:
        agent.reconfigure(changed)
    if file.problem:
        agent.problems["configuration"] = f"not in force: {file.problem}"
        if file.problem != before:
            _log.error("configuration not in force", extra={"reason": file.problem})
    else:
        agent.problems.pop("configuration", None)


def _routes(agent: RouteAgent, inbox: Inbox, ending: _Ending) -> dict[tuple[str, str], Handler]:
    def stop(body: Mapping[str, Any]) -> Mapping[str, Any]:
        unknown = body.keys() - {"withdraw"}
        if unknown or not isinstance(body.get("withdraw", False), bool):
            raise RequestError(400, 'expected {"withdraw": true} or {"withdraw": false}')
        done = threading.Event()

        def begin() -> None:
            ending.listeners.append(done)
            if body.get("withdraw"):
                ending.withdraw_until = time.monotonic() + _WITHDRAW_S
            else:
                ending.requested = True

        inbox.ask(begin, _ASK_S)
        done.wait(_WITHDRAW_S + _ASK_S)
        return {"withdrawn": ending.withdrawn}

    return {
        ("GET", "/v1/status"): lambda _: inbox.ask(
            lambda: view.status(agent, time.monotonic()), _ASK_S
        ),
        ("GET", "/v1/peers"): lambda _: inbox.ask(lambda: view.peers(agent, time.time()), _ASK_S),
        ("GET", "/v1/routes"): lambda _: inbox.ask(lambda: view.routes(agent), _ASK_S),
        ("POST", "/v1/stop"): stop,
    }


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the node's agent lock; the kernel gives it back when we die."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise AlreadyRunningError(
                f"another route agent (pid {holder}) runs on this node: {path} is locked"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
