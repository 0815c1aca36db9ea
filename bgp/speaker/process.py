"""Speaker: stock ExaBGP as a supervised child process. SHELL.

Level-triggered: `configure` says what shall be, `poll` drives the child there: it starts it,
starts it again with back-off, reloads it until it confirms, announces on every new session,
asks it for a sign of life, and kills it when there is none.

The speaker is only ever ended by SIGKILL. Then it says nothing to anybody, the kernel closes
its connections, and the peers keep our routes for the restart time (RFC 4724): the same path
for a planned restart as for a crash, so that the tested one is the only one. Leaving for good
is explicit: `configure` with no networks, wait for `is_settled`, `stop`.

All methods belong to one thread, which must live as long as the process: its end is the parent
death signal of the child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from bgp.event import (
    Alive,
    ConfigApplied,
    ConfigRejected,
    Direction,
    Event,
    Opened,
    Sent,
    SessionDown,
    SessionUp,
    SpeakerExited,
    SpeakerStarted,
)
from bgp.nlri import BITS, IPV4, IPAddress
from bgp.peer import DEFAULT_PORT, PeerId, PeerSettings, SpeakerConfig
from bgp.secret import Secret
from bgp.speaker import commands
from bgp.speaker.adjribout import AdjRibOut
from bgp.speaker.events import EventError, parse
from bgp.speaker.launch import (
    DEFAULT_UID,
    Installation,
    LaunchError,
    SpeakerProcessSettings,
    write,
)
from bgp.speaker.link import Link
from bgp.speaker.output import Answer, Output
from bgp.speaker.render import render
from bgp.speaker.sockets import local_address, unacknowledged_bytes
from bgp.speaker.supervision import (
    DEFAULT_HOLD_TIME_S,
    RELOAD_RETRY_S,
    Backoff,
    Heartbeat,
    Reload,
)

__all__ = ["DEFAULT_UID", "Speaker", "SpeakerProcessSettings"]

log = logging.getLogger(__name__)

START_LIMIT_S = 15.0
"""Longest time from the start of the child to the first word of its relay."""
LAST_BREATH_S = 0.1
"""How long a speaker may live on after its relay before we take it for left behind."""
BURIAL_S = 0.5
"""How long `poll` waits at most for a killed child."""


class Speaker:
    """The child, its configuration and its events."""

    def __init__(self, settings: SpeakerProcessSettings, wake: Callable[[], None]) -> None:
        """Prepare the run directory. Raises LaunchError if the speaker cannot run here.

        `wake` is called from other threads when `poll` has something to do; it must be quick
        and may be called often.
        """
        self._settings = settings
        self._wake = wake
        self._owner = (settings.uid, settings.gid)
        self._installation = Installation.prepare(settings)
        self._link = Link(settings.socket_path, self._owner, wake)
        self._config: SpeakerConfig | None = None
        self._text = ""
        self._started_text = ""
        self._ids: dict[str, PeerId] = {}
        self._addresses: dict[PeerId, IPAddress] = {}
        self._leaving: frozenset[IPAddress] = frozenset()
        self._hold_times: dict[PeerId, int] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._output: Output | None = None
        self._out = AdjRibOut()
        self._reload = Reload()
        self._backoff = Backoff()
        self._heartbeat = Heartbeat(settings.heartbeat_s)
        self._started_at = 0.0
        self._start_at: float | None = None
        self._is_serving = False
        self._has_loaded = False
        self._verdict = ""
        self._starts = 0

    def configure(self, config: SpeakerConfig) -> None:
        """Make the speaker do what `config` says; idempotent, does not block.

        Starts it if need be. A changed network list touches no session; a changed peer resets
        that peer only; a removed one is sent our withdrawals first.
        """
        if config == self._config:
            return
        text = render(config, self._installation.relay_command(self._settings))
        renamed = self._renamed(config)
        known = frozenset(self._addresses.values())
        self._config = config
        self._ids = {str(peer.address): peer.name for peer in config.peers}
        self._addresses = {peer.name: peer.address for peer in config.peers}
        self._leaving |= known - frozenset(self._addresses.values())
        self._leaving -= frozenset(self._addresses.values())
        self._expect()
        if text != self._text or not self._settings.config_path.exists():
            write(self._settings.config_path, text.encode("ascii"), 0o400, self._owner)
        self._text = text
        now = time.monotonic()
        self._reload.want(text, now)
        wanted = {
            peer.address: (peer.families, frozenset(config.networks_for(peer)))
            for peer in config.peers
        }
        self._link.send(self._out.want(wanted))
        self._link.send(b"".join(commands.reset(address) for address in renamed))
        if self._child is None and self._start_at is None:
            self._start_at = now
        self._start_if_due(now)
        self._reload_if_due(now)

    def poll(self, now: float) -> tuple[Event, ...]:
        """Give what happened since the last call, and supervise.

        `now` is `time.monotonic()`. To be called when woken, and at `due_at` at the latest.
        """
        events: list[Event] = []
        if self._child is not None:
            self._read_output(now, events)
            self._begin_if_ready(now, events)
            self._read_lines(now, events)
            self._look_after(now)
            self._bury_if_dead(now, events)
        self._start_if_due(now)
        self._reload_if_due(now)
        return tuple(events)

    @property
    def due_at(self) -> float:
        """Give the monotonic time at which `poll` wants to be called even if nobody wakes."""
        if self._child is None:
            return float("inf") if self._start_at is None else self._start_at
        if not self._is_serving:
            return self._started_at + START_LIMIT_S
        due = self._heartbeat.due_at()
        if self._reload.is_pending:
            due = min(due, time.monotonic() + RELOAD_RETRY_S)
        return due

    def stop(self, deadline_s: float) -> None:
        """End the speaker at once, without a word to the peers, and for good.

        Peers with graceful restart keep our routes. To leave for good, `configure` without
        networks and wait for `is_settled` first. Raises LaunchError if the kernel has not
        buried it after `deadline_s`.
        """
        self._start_at = None
        self._config = None
        if self._child is not None:
            self._child.kill()
            try:
                self._child.wait(timeout=deadline_s)
            except subprocess.TimeoutExpired as error:
                raise LaunchError(f"process {self._child.pid} does not die") from error
            self._clear()
        self._link.dispose()
        self._settings.config_path.unlink(missing_ok=True)

    def pending_bytes(self) -> int:
        """Count bytes on their way to our peers that are not acknowledged yet.

        From the kernel's table of the child's network namespace; 0 when there is no child.
        """
        if self._child is None:
            return 0
        remotes = {(peer.address, peer.port) for peer in self._peers}
        return self._link.unsent_bytes + sum(
            unacknowledged_bytes(self._socket_table(family), remotes) for family in BITS
        )

    @property
    def is_settled(self) -> bool:
        """Tell whether every established peer has, and has acknowledged, exactly what it shall.

        Peers whose session is down do not count. Events must have been polled.
        """
        if not self._is_serving:
            return self._child is None and self._start_at is None
        return self._out.is_settled() and not self._reload.is_pending and self.pending_bytes() == 0

    @property
    def pid(self) -> int | None:
        """Process id of the running speaker."""
        return None if self._child is None else self._child.pid

    @property
    def restarts(self) -> int:
        """How often the speaker had to be started again."""
        return max(0, self._starts - 1)

    def _start_if_due(self, now: float) -> None:
        if self._start_at is None or now < self._start_at:
            return
        self._start_at = None
        child = subprocess.Popen(
            self._installation.command(self._settings),
            env=self._installation.environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert child.stdout is not None  # noqa: S101  PIPE was asked for
        self._child = child
        self._output = Output(child.stdout, self._wake)
        self._link.open(child.pid)
        self._started_text, self._started_at = self._text, now
        self._backoff.started(now)
        self._starts += 1
        log.info("speaker started", extra={"pid": child.pid})

    def _read_output(self, now: float, events: list[Event]) -> None:
        assert self._output is not None  # noqa: S101  made together with the child
        for answer in self._output.take(now, self._secrets()):
            if answer is Answer.LOADED:
                if self._has_loaded and self._reload.confirmed():
                    for address in self._leaving:
                        self._out.forget(address)
                    self._leaving = frozenset()
                    events.append(ConfigApplied())
                self._has_loaded = True
            elif self._has_loaded:
                self._reload.refused()
                events.append(ConfigRejected(reason=self._output.last_line))

    def _begin_if_ready(self, now: float, events: list[Event]) -> None:
        if self._is_serving or not (self._has_loaded and self._link.is_connected):
            return
        assert self._child is not None  # noqa: S101  the caller looked
        self._is_serving = True
        self._heartbeat.began(now)
        self._reload.started(self._started_text)
        events.append(SpeakerStarted(pid=self._child.pid))
        if not self._reload.is_pending:
            events.append(ConfigApplied())

    def _read_lines(self, now: float, events: list[Event]) -> None:
        if not self._is_serving:
            return
        for line in self._link.lines():
            self._heartbeat.heard(now)
            try:
                parsed = parse(line, self._ids)
            except EventError as error:
                log.warning("speaker line not understood", extra={"reason": str(error)})
                continue
            for event in map(self._complete, parsed):
                self._note(event)
                if not isinstance(event, Alive):
                    events.append(event)

    def _complete(self, event: Event) -> Event:
        if not isinstance(event, SessionUp) or event.local_address is not None:
            return event
        address = self._address(event.peer)
        port = next((p.port for p in self._peers if p.address == address), DEFAULT_PORT)
        found = local_address(self._socket_table(address.version), (address, port))
        return dataclasses.replace(event, local_address=found)

    def _socket_table(self, family: int) -> str:
        table = "tcp" if family == IPV4 else "tcp6"
        try:
            return Path(f"/proc/{self.pid}/net/{table}").read_text()
        except OSError:
            return ""

    def _note(self, event: Event) -> None:
        match event:
            case SessionUp():
                self._link.send(self._greet(self._address(event.peer), event.local_address))
            case SessionDown():
                address = self._address(event.peer)
                self._out.session_down(address)
                self._hold_times.pop(event.peer, None)
                self._expect()
            case Sent():
                self._out.confirm(self._address(event.peer), event)
            case Opened(direction=Direction.RECEIVED):
                self._hold_times[event.peer] = event.hold_time_s
                self._expect()
            case _:
                pass

    def _greet(self, address: IPAddress, next_hop: IPAddress | None) -> bytes:
        if next_hop is None:
            # The connection has gone again, or nothing can be announced on it: dial anew.
            return commands.reset(address)
        return self._out.session_up(address, next_hop)

    def _look_after(self, now: float) -> None:
        assert self._child is not None  # noqa: S101  the caller looked
        if self._link.has_ended:
            # A dying process closes its files a moment before it can be waited for.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=LAST_BREATH_S)
                return
            self._end("the connection to it was lost")
        elif not self._is_serving:
            if now - self._started_at > START_LIMIT_S:
                self._end(f"it did not come up within {START_LIMIT_S:.0f} s")
        elif (silence := self._heartbeat.silence_s(now)) is not None:
            self._end(f"no sign of life for {silence:.1f} s")
        elif self._heartbeat.is_due(now):
            self._link.send(commands.HEARTBEAT)
        else:
            self._link.send(b"")

    def _end(self, verdict: str) -> None:
        assert self._child is not None  # noqa: S101  the caller looked
        if not self._verdict:
            self._verdict = verdict
            self._child.kill()

    def _bury_if_dead(self, now: float, events: list[Event]) -> None:
        assert self._child is not None  # noqa: S101  the caller looked
        status = self._child.poll()
        if status is None and self._verdict:
            # It was sent SIGKILL: gone within milliseconds, unless the kernel holds it.
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = self._child.wait(timeout=BURIAL_S)
        if status is None:
            return
        self._start_at = self._backoff.ended(now)
        reason = _explain(status, self._verdict)
        log.warning(
            "speaker ended",
            extra={"reason": reason, "status": status, "delay_s": self._start_at - now},
        )
        self._clear()
        events.append(SpeakerExited(status=status, reason=reason))

    def _clear(self) -> None:
        self._link.close()
        if self._output is not None:
            self._output.close()
        self._child = self._output = None
        self._is_serving = self._has_loaded = False
        self._verdict = ""
        self._hold_times.clear()
        self._leaving = frozenset()
        self._out.reset()
        self._reload.ended()

    def _reload_if_due(self, now: float) -> None:
        if self._child is None or not self._is_serving:
            return
        may_start = all(self._out.is_settled(address) for address in self._leaving)
        if self._reload.is_due(now, may_start=may_start):
            self._child.send_signal(signal.SIGUSR1)

    def _renamed(self, config: SpeakerConfig) -> list[IPAddress]:
        # ExaBGP knows no names: a renamed peer keeps its session, but all that was learned
        # under the old name would be missing under the new one.
        return [
            peer.address
            for peer in config.peers
            if self._ids.get(str(peer.address), peer.name) != peer.name
        ]

    def _expect(self) -> None:
        configured = [peer.hold_time_s for peer in self._peers]
        times = [t for t in (*configured, *self._hold_times.values()) if t]
        self._heartbeat.expect_within(min(times, default=DEFAULT_HOLD_TIME_S))

    @property
    def _peers(self) -> tuple[PeerSettings, ...]:
        return () if self._config is None else self._config.peers

    def _address(self, peer: PeerId) -> IPAddress:
        return self._addresses.get(peer) or ip_address(peer)

    def _secrets(self) -> list[Secret]:
        return [peer.password for peer in self._peers if peer.password is not None]


def _explain(status: int, verdict: str) -> str:
    if verdict:
        return f"killed: {verdict}"
    if status < 0:
        return f"ended by signal {signal.Signals(-status).name}"
    return f"exited with status {status}"
