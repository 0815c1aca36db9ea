"""The level-triggered loop: observe, decide, apply, tell (design D7).

Events only wake it; a timer wakes it too. One step never waits for anything but the kernel.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bgp.errors import BgpError
from bgp.event import ConfigApplied, ConfigRejected, Event, SpeakerExited, SpeakerStarted
from bgp.nlri import Prefix
from bgp.peer import PeerId, SpeakerConfig
from bgp.rib import Rib
from cni.node_facts import NodeFacts
from router.agent.forwarding import FibShell, Forwarding
from router.agent.sessions import Sessions
from router.config.settings import AgentSettings
from router.kernel.monitor import Noticed
from router.model.link import Links
from router.reconcile.announce import Announcement, announcement, smallest_mtu, uplinks
from router.reconcile.learned import Metrics
from router.reconcile.sysctl import keys as sysctl_keys
from router.reconcile.sysctl import plan_sysctls

_log = logging.getLogger(__name__)
RESYNC_S: Final = 30.0
"""How often the kernel is read in full although nothing was noticed."""
_RETRY_S: Final = 1.0


class LinkShell(Protocol):
    """Observes links; `router.kernel.link.LinkTable` is the real one."""

    def observe(self) -> Links:
        """Return all links."""

    def advertised(self) -> tuple[str, ...]:
        """Return the links with a default route from a router advertisement."""


class MonitorShell(Protocol):
    """Notices changes; `router.kernel.monitor.Monitor` is the real one."""

    def take(self) -> Noticed:
        """Return what was noticed since the last call."""


class SysctlShell(Protocol):
    """Reads and writes sysctls; `router.kernel.sysctl.Sysctls` is the real one."""

    def read(self, keys: tuple[str, ...]) -> dict[str, str]:
        """Return the values of those keys that exist."""

    def write(self, key: str, value: str) -> None:
        """Write one value."""


class SpeakerShell(Protocol):
    """Speaks BGP; `bgp.speaker.process.Speaker` is the real one."""

    def configure(self, config: SpeakerConfig) -> None:
        """Make the speaker do what `config` says."""

    def poll(self, now: float) -> tuple[Event, ...]:
        """Return what happened since the last call."""

    @property
    def is_settled(self) -> bool:
        """Whether every established peer has acknowledged exactly what it shall have."""

    @property
    def due_at(self) -> float:
        """Monotonic time at which `poll` wants to be called even if nobody wakes."""

    @property
    def pid(self) -> int | None:
        """Process id, if it runs."""

    @property
    def restarts(self) -> int:
        """How often it had to be started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shells:
    """Everything through which the agent touches the world."""

    fib: FibShell
    links: LinkShell
    monitor: MonitorShell
    sysctls: SysctlShell
    speaker: SpeakerShell
    publish: Callable[[NodeFacts], None]
    """Writes node.json when the facts differ from those it holds."""


class RouteAgent:
    """One node's agent. All methods belong to the loop's thread."""

    def __init__(
        self,
        settings: AgentSettings,
        shells: Shells,
        metrics: Metrics,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Start nothing yet: the first `step` does."""
        self.settings = settings
        self.shells = shells
        self._monotonic = monotonic
        self._wall = wall
        self.started_at = wall()
        self.rib = Rib(settings.import_policy(), {peer.name: peer for peer in settings.peers})
        self.sessions = Sessions(
            settings.peers,
            self.rib,
            deferral_s=settings.deferral_s,
            now=monotonic(),
            at=self.started_at,
        )
        self.forwarding = Forwarding(shells.fib, self.rib, metrics, settings.node_addresses)
        self.links = Links.of(())
        self.announcing = Announcement((), ())
        self.withdrawing = False
        self.problems: dict[str, str] = {}
        """Part of the work that does not succeed now, and why."""
        self._own = _own(settings)
        self._next_resync = 0.0
        self._seen_links = False
        self._configured: SpeakerConfig | None = None

    def step(self) -> float:
        """Do one round; return how many seconds the loop may sleep."""
        now = self._monotonic()
        noticed = self.shells.monitor.take()
        if now >= self._next_resync:
            noticed = Noticed(links=True, fib=True)
            self._next_resync = now + RESYNC_S
        self._attempt("links", lambda: self._look(noticed))
        for event in self.shells.speaker.poll(now):
            self._receive(event, now)
        self.sessions.expire(now)
        self._attempt("forwarding", lambda: self._forward(now))
        self._attempt("announcement", self._announce)
        self._attempt("node facts", lambda: self.shells.publish(self.facts()))
        due = min(self._next_resync, self.shells.speaker.due_at, now + _RETRY_S)
        return max(0.0, due - self._monotonic())

    def _attempt(self, part: str, work: Callable[[], None]) -> None:
        """Do one part of a step; a failure is told once, retried, and stops no other part."""
        try:
            work()
        except (BgpError, OSError) as error:
            if self.problems.get(part) != str(error):
                _log.error("cannot do part of the work", extra={"part": part, "error": str(error)})
            self.problems[part] = str(error)
            if part == "links":
                self._seen_links = False
        else:
            if self.problems.pop(part, None) is not None:
                _log.info("part of the work succeeds again", extra={"part": part})

    def _look(self, noticed: Noticed) -> None:
        if noticed.fib:
            self.forwarding.distrust()
        if noticed.links or not self._seen_links:
            self.links = self.shells.links.observe()
            self._seen_links = True
            self.forwarding.see_links(self.links)
            self._set_sysctls()

    def _set_sysctls(self) -> None:
        towards = self.uplinks
        advertised = self.shells.links.advertised()
        current = self.shells.sysctls.read(sysctl_keys(towards, advertised))
        for write in plan_sysctls(current, towards, advertised):
            self.shells.sysctls.write(write.key, write.value)
            _log.info("sysctl set", extra={"sysctl": write.describe(), "was": current[write.key]})

    def _receive(self, event: Event, now: float) -> None:
        if isinstance(event, SpeakerStarted):
            _log.info("speaker started", extra={"pid": event.pid})
        elif isinstance(event, SpeakerExited):
            _log.error("speaker ended", extra={"status": event.status, "reason": event.reason})
        elif isinstance(event, ConfigRejected):
            self.problems["speaker"] = f"the speaker refused its configuration: {event.reason}"
        elif isinstance(event, ConfigApplied):
            self.problems.pop("speaker", None)
        lost = self.sessions.receive(event, now=now, at=self._wall())
        if lost is not None:
            self._lose(lost)

    def _lose(self, peer: PeerId) -> None:
        address = next(p.address for p in self.settings.peers if p.name == peer)
        self._attempt(
            "forwarding",
            lambda: self.forwarding.prune(
                lambda hop: (hop.family, hop.gateway) == (address.version, int(address))
            ),
        )

    def _forward(self, now: float) -> None:
        if not self._seen_links:
            return
        keep = self.sessions.after_start.holds(now)
        self.forwarding.reconcile(self._own, keep_found=keep)

    def _announce(self) -> None:
        settings = self.settings
        self.announcing = announcement(
            pod_cidrs=sorted(self._own),
            node_addresses=settings.node_addresses if settings.announce_node_addresses else (),
            unreachables=self.forwarding.fib.unreachables,
            links=self.links,
        )
        networks: tuple[Prefix, ...] = () if self.withdrawing else self.announcing.networks
        config = SpeakerConfig(
            router_id=settings.router_id, peers=settings.peers, networks=networks
        )
        # A speaker that starts before anything works would send End-of-RIB first (RFC 4724).
        if self._configured is None and not self._seen_links:
            return
        if config != self._configured:
            self.shells.speaker.configure(config)
            self._configured = config

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Names of the links toward the peers."""
        return uplinks((peer.address for peer in self.settings.peers), self.links)

    def facts(self) -> NodeFacts:
        """Return what the CNI server must know (design D14); `generation` is the publisher's."""
        reasons = [
            f"{part}: {text}"
            for part, text in self.problems.items()
            if part in ("links", "forwarding")
        ]
        reasons += [
            f"{prefix}: {reason}"
            for prefix, reason in self.announcing.waiting
            if prefix in self._own
        ]
        return NodeFacts(
            generation=0,
            node=self.settings.node,
            pod_cidrs=tuple(prefix.to_network() for prefix in self.settings.pod_cidrs),
            node_addresses=self.settings.node_addresses,
            mtu=self.settings.mtu or smallest_mtu(self.uplinks, self.links),
            ready=not reasons,
            reason="; ".join(reasons),
        )

    def is_withdrawn(self) -> bool:
        """Whether every established peer has been sent, and has acknowledged, our withdrawals."""
        return self.withdrawing and self.shells.speaker.is_settled

    def reconfigure(self, settings: AgentSettings) -> None:
        """Take new settings; peers that did not change keep their sessions (invariant 10).

        What only a new process can take (node name, the speaker's user) is told as a problem
        until the agent is started again.
        """
        fixed = [
            field
            for field in ("node", "speaker_uid", "speaker_gid")
            if getattr(settings, field) != getattr(self.settings, field)
        ]
        self.problems.pop("restart", None)
        if fixed:
            self.problems["restart"] = f"a change of {', '.join(fixed)} needs a restart"
        now = self._monotonic()
        self.settings = settings
        self._own = _own(settings)
        self.rib.reconfigure(settings.import_policy(), {p.name: p for p in settings.peers})
        self.sessions.reconfigure(
            settings.peers, deferral_s=settings.deferral_s, now=now, at=self._wall()
        )
        self.forwarding.reconfigure(settings.node_addresses)
        self._seen_links = False
        _log.info("configuration in force", extra={"peers": len(settings.peers)})


def _own(settings: AgentSettings) -> frozenset[Prefix]:
    return frozenset(settings.pod_cidrs) if settings.announce_pod_cidrs else frozenset()
