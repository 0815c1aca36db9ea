"""Speaker: stock ExaBGP as a supervised child process. SHELL.

Level-triggered: `configure` says what shall be, `poll` drives the child there: it starts it,
starts it again with back-off, reloads it until it confirms, announces on every new session,
asks it for a sign of life, and kills it when there is none.

The speaker is only ever ended by SIGKILL. Then it says nothing to anybody, the kernel closes
its connections, and the peers keep our routes for the restart time (RFC 4724): the same path
for a planned restart as for a crash, so that the tested one is the only one. Leaving for good
is explicit: `configure` with no networks, wait for `is_settled`, `stop`. All methods belong to one
thread, which must live as long as the process: its end is the parent death signal of the child.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable

from bgp.ending import Ending
from bgp.ends import address_of
from bgp.event import (
    Alive,
    ConfigApplied,
    ConfigRejected,
    Event,
    Refused,
    Sent,
    SessionDown,
    SessionUp,
    SpeakerExited,
    SpeakerStarted,
    Updated,
)
from bgp.peer_id import PeerId
from bgp.speaker import commands
from bgp.speaker.adjribout import AdjRibOut
from bgp.speaker.child import Child
from bgp.speaker.launch import DEFAULT_UID, Installation, SpeakerProcessSettings, write
from bgp.speaker.link import Link
from bgp.speaker.output import Answer
from bgp.speaker.partings import Partings
from bgp.speaker.reader import Reader
from bgp.speaker.render import render
from bgp.speaker.roster import Roster
from bgp.speaker.supervision import RELOAD_RETRY_S, Backoff, Heartbeat, Reload
from bgp.speaker_config import SpeakerConfig

__all__ = ["DEFAULT_UID", "Speaker", "SpeakerProcessSettings"]

log = logging.getLogger(__name__)

START_LIMIT_S = 15.0
"""Longest time from the start of the child to the first word of its relay."""


class Speaker:
    """The child, its configuration and its events."""

    def __init__(self, settings: SpeakerProcessSettings, wake: Callable[[], None]) -> None:
        """Prepare the run directory. Raises LaunchError if the speaker cannot run here.

        `wake` is called from other threads when `poll` has something to do; it must be quick
        and may be called often.
        """
        self._settings = settings
        self._wake = wake
        self._installation = Installation.prepare(settings)
        self._link = Link(settings.socket_path, (settings.uid, settings.gid), wake)
        self._config: SpeakerConfig | None = None
        self._text = ""
        self._child: Child | None = None
        self._roster = Roster()
        self._reader = Reader()
        self._out = AdjRibOut()
        self._partings = Partings()
        self._reload = Reload()
        self._backoff = Backoff()
        self._heartbeat = Heartbeat(settings.heartbeat_s)
        self._started_at = 0.0
        self._start_at: float | None = None
        self._starts = 0

    def configure(self, config: SpeakerConfig) -> None:
        """Make the speaker do what `config` says; idempotent, does not block.

        A changed network list touches no session, a changed peer resets that peer only; one that
        leaves gets our withdrawals and a NOTIFICATION. Raises OSError, with nothing changed.
        """
        if config == self._config:
            return
        text = render(config, self._installation.relay_command(self._settings))
        if text != self._text:
            write(self._settings.config_path, text.encode("ascii"), 0o440, self._settings.gid)
        self._config, self._text = config, text
        anew = self._roster.take(config)
        self._heartbeat.expect_within(self._roster.shortest_hold_time_s)
        now = time.monotonic()
        self._reload.want(text, now)
        for remote in anew:
            self._out.session_down(remote)
            self._link.send(commands.reset(remote))
        self._partings.take(self._roster.leaving, config)
        said = self._out.want(self._roster.wanted(config))
        self._link.send(said + self._partings.tell(self._out.is_up))
        if self._child is None and self._start_at is None:
            self._start_at = now
        self._start_if_due(now)
        self._reload_if_due(now)

    def poll(self, now: float) -> tuple[Event, ...]:
        """Give what happened since the last call, and supervise. `now` is `time.monotonic()`.

        To be called when woken, and at `due_at` at the latest.
        """
        events: list[Event] = []
        if self._child is not None:
            self._read_output(self._child, now, events)
            self._begin_if_ready(self._child, now, events)
            self._read_lines(self._child, now, events)
            self._look_after(self._child, now)
            self._bury_if_dead(self._child, now, events)
        self._start_if_due(now)
        self._reload_if_due(now)
        return tuple(events)

    @property
    def due_at(self) -> float:
        """Give the monotonic time at which `poll` wants to be called even if nobody wakes."""
        if self._child is None:
            return float("inf") if self._start_at is None else self._start_at
        if not self._child.is_serving:
            return self._started_at + START_LIMIT_S
        due = self._heartbeat.due_at()
        if self._reload.is_pending:
            due = min(due, time.monotonic() + RELOAD_RETRY_S)
        return due

    def stop(self, deadline_s: float) -> None:
        """End the speaker at once, for good, and without a word: peers may keep our routes.

        To leave for good, `configure` without networks and wait for `is_settled` first. Raises
        LaunchError if the kernel has not buried it after `deadline_s`.
        """
        self._start_at = None
        self._config = None
        if self._child is not None:
            self._child.kill(deadline_s)
            self._clear(self._child)
        self._link.dispose()
        self._settings.config_path.unlink(missing_ok=True)

    def reset(self, peer: PeerId) -> None:
        """End the peer's session without a NOTIFICATION and dial anew at once."""
        self._link.send(commands.reset(self._roster.remote(peer)))

    def pending_bytes(self) -> int:
        """Count bytes that our peers have not acknowledged yet; 0 when there is no child."""
        child, remotes = self._child, self._roster.remotes
        return self._link.unsent_bytes + child.unacknowledged_bytes(remotes) if child else 0

    @property
    def is_settled(self) -> bool:
        """Tell whether every peer that is established has acknowledged what it shall have."""
        if self._child is None:
            return self._start_at is None
        has_loaded = self._child.is_serving and not self._reload.is_pending
        return has_loaded and self._out.is_settled() and self.pending_bytes() == 0

    @property
    def deaf_at(self) -> str:
        """Where it should listen for passive peers and cannot; "" if nowhere."""
        return self._child.output.deaf_at if self._child else ""

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
        self._started_at = now
        self._starts += 1
        self._backoff.started(now)
        try:
            self._child = Child(self._installation, self._settings, self._text, self._wake)
        except OSError as error:
            self._start_at = self._backoff.ended(now)
            log.error("speaker cannot be started", extra={"error": str(error)})
            return
        self._link.open(self._child.pid)
        log.info("speaker started", extra={"pid": self._child.pid})

    def _read_output(self, child: Child, now: float, events: list[Event]) -> None:
        for answer in child.output.take(now, self._roster.secrets):
            if not child.has_loaded:
                # A refusal at the start ends ExaBGP, which `_bury_if_dead` sees.
                child.has_loaded = answer is Answer.LOADED
            elif answer is Answer.REFUSED:
                self._reload.refused()
                events.append(ConfigRejected(reason=child.output.last_line))
            elif self._reload.confirmed():
                for remote in self._roster.leaving:
                    self._out.forget(remote)
                self._link.send(b"".join(commands.reset(r) for r in self._roster.moved))
                self._roster.leaving = self._roster.moved = frozenset()
                self._partings.clear()
                events.append(ConfigApplied())

    def _begin_if_ready(self, child: Child, now: float, events: list[Event]) -> None:
        if child.is_serving or not (child.has_loaded and self._link.is_connected):
            return
        child.is_serving = True
        self._heartbeat.began(now)
        self._reload.started(child.text)
        events.append(SpeakerStarted(pid=child.pid))
        if not self._reload.is_pending:
            events.append(ConfigApplied())

    def _read_lines(self, child: Child, now: float, events: list[Event]) -> None:
        if not child.is_serving:
            return
        for item in self._link.take():
            self._heartbeat.heard(now)
            for event in self._reader.read(item, self._roster.ids, self._roster.via):
                if isinstance(event, Refused):
                    ending = Ending(code=event.code, subcode=event.subcode)
                    self._link.send(commands.notify(self._roster.remote(event.peer), ending))
                elif not (isinstance(event, Alive) or self._roster.is_old(event)):
                    events.append(self._take(child, event))

    def _take(self, child: Child, event: Event) -> Event:
        """Act on the event and give it back, completed by what the kernel knows."""
        if isinstance(event, Updated):
            return event
        if isinstance(event, SessionUp):
            remote = self._roster.remote(event.peer)
            if event.local_address is None:
                end = child.local_end(address_of(remote), self._roster.port(remote))
                event = dataclasses.replace(event, local_address=end)
            if event.local_address is None:
                # The connection has gone again, or nothing can be announced on it: dial anew.
                self._link.send(commands.reset(remote))
            else:
                carried = self._roster.negotiated(remote)
                self._link.send(self._out.session_up(remote, event.local_address, carried))
                self._link.send(self._partings.tell(self._out.is_up))
        elif isinstance(event, SessionDown):
            self._out.session_down(remote := self._roster.remote(event.peer))
            self._partings.ended(remote)
        elif isinstance(event, Sent):
            self._link.send(self._out.confirm(self._roster.remote(event.peer), event))
        self._roster.note(event)
        self._heartbeat.expect_within(self._roster.shortest_hold_time_s)
        return event

    def _look_after(self, child: Child, now: float) -> None:
        if self._link.has_ended:
            if child.outlives_its_relay():
                child.end("the connection to it was lost")
        elif not child.is_serving:
            if now - self._started_at > START_LIMIT_S:
                child.end(f"it did not come up within {START_LIMIT_S:.0f} s")
        elif (silence := self._heartbeat.silence_s(now)) is not None:
            child.end(f"no sign of life for {silence:.1f} s")
        else:
            self._link.send(commands.HEARTBEAT if self._heartbeat.is_due(now) else b"")

    def _bury_if_dead(self, child: Child, now: float, events: list[Event]) -> None:
        if (status := child.status()) is None:
            return
        self._start_at = self._backoff.ended(now)
        reason, delay_s = child.explain(status), self._start_at - now
        log.warning("speaker ended", extra={"reason": reason, "delay_s": delay_s})
        self._clear(child)
        events.append(SpeakerExited(status=status, reason=reason))

    def _clear(self, child: Child) -> None:
        self._link.close()
        child.output.close()
        self._child = None
        self._roster.clear()
        self._reader.clear()
        self._out.reset()
        self._partings.clear()
        self._reload.ended()

    def _reload_if_due(self, now: float) -> None:
        may_start = self._partings.are_over and all(map(self._out.is_settled, self._roster.leaving))
        if self._child and self._child.is_serving and self._reload.is_due(now, may_start=may_start):
            self._child.reload()
