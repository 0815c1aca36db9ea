"""The level-triggered loop: observe, decide, apply, tell (design D7).

Events only wake it; a timer wakes it too. One step never waits for anything but the kernel.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from bgp.event import Event, SessionUp, Updated
from bgp.peer_id import PeerId
from bgp.rib import Rib
from cni.histogram import Histogram
from cni.node_facts import NodeFacts
from router.agent.announcer import Announcer, Guards
from router.agent.attempt import attempt
from router.agent.circumstances import Circumstances
from router.agent.draining import Draining
from router.agent.duplicates import Duplicates
from router.agent.forwarding import Forwarding
from router.agent.holds import Holds
from router.agent.liveness import Liveness
from router.agent.placing import Placing
from router.agent.rejecting import Rejecting
from router.agent.serving import Serving
from router.agent.sessions import Sessions
from router.agent.shells import Shells
from router.agent.speaker_news import tell_speaker
from router.agent.sysctls import set_sysctls
from router.agent.telling import node_facts, readiness_signs
from router.config.settings import AgentSettings
from router.kernel.monitor import Noticed
from router.model.link import Address, Links
from router.model.node import NodeView, Observed
from router.model.unnumbered import Discovered, Port
from router.reconcile.announce import smallest_mtu, uplinks
from router.reconcile.discovery import discovered, ports
from router.reconcile.learned import hops_to
from router.reconcile.readiness import Signs, first_verdict, judge

_log = logging.getLogger(__name__)
RESYNC_S: Final = 30.0
"""How often the kernel is read in full although nothing was noticed."""
_RETRY_S: Final = 1.0
STEP_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class RouteAgent:
    """One node's agent. All methods belong to the loop's thread."""

    def __init__(
        self,
        settings: AgentSettings,
        shells: Shells,
        circumstances: Circumstances,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Start nothing yet: the first `step` does."""
        self._circumstances = circumstances
        self.settings = settings
        self.shells = shells
        self._monotonic = monotonic
        self._wall = wall
        self.started_at = at = wall()
        self.rib = Rib(
            settings.import_policy(),
            {peer.name: peer for peer in settings.peers},
            settings.selection,
        )
        self.sessions = Sessions(
            settings.peers,
            self.rib,
            deferral_s=settings.deferral_s,
            now=monotonic(),
            at=at,
            waiting=settings.waiting,
        )
        self.holds = Holds(settings.peers, low_ports=circumstances.low_ports)
        self.forwarding = Forwarding(shells.fib, self.rib, circumstances, settings.node_addresses)
        self.liveness = Liveness(shells.bfd)
        self.links = Links.of(())
        self.gateways: tuple[Address, ...] = ()
        self.verdict = first_verdict(now=monotonic(), resumed=circumstances.resumed)
        self.turned_at = monotonic()
        """When the loop last turned, for the liveness probe."""
        self.placing = Placing(shells.place, settings.place)
        self.node: Observed[NodeView] = Observed()
        """What the API says of our Node; set from outside."""
        self.draining = Draining(
            shells.drain,
            now=monotonic(),
            at=self.started_at,
            has_api=circumstances.expects_pod_cidrs,
        )
        self.announcer = Announcer(shells.speaker, self.draining)
        self.duplicates = Duplicates(circumstances, shells.cleared)
        self.serving = Serving(circumstances, shells.services, now=monotonic())
        self.rejecting = Rejecting(shells.rejections)
        self.steps = Histogram(STEP_BOUNDS_S)
        self.problems: dict[str, str] = {}
        """Part of the work that does not succeed now, and why."""
        self._ports: Mapping[str, Port] = {}
        self._own = settings.announced_cidrs
        self._next_resync = 0.0
        self._seen_links = False

    def step(self) -> float:
        """Do one round; return how many seconds the loop may sleep."""
        now = self.turned_at = self._monotonic()
        noticed = self.shells.lately.see(self.shells.monitor.take(), now)
        if now >= self._next_resync:
            noticed = Noticed(links=True, fib=True)
            self._next_resync = now + RESYNC_S
        self._attempt("links", lambda: self._look(noticed))
        for event in self.shells.speaker.poll(now):
            self._receive(event, now)
            self.duplicates.note()
        self.announcer.since.follow((s for _, s in self.sessions.all), self._wall())
        self._attempt("bfd", self._watch_paths)
        self.sessions.expire(now)
        self.holds.expire(now)
        self._attempt("forwarding", lambda: self._forward(now))
        self._attempt("routing rules", lambda: self._place(now))
        look = partial(self.duplicates.step, self.settings, self.rib, self.sessions.established)
        self._attempt("duplicates", lambda: look(self.links, now))
        follow = partial(self.draining.follow, self.node, self.settings.drain)
        self._attempt("orders to drain", lambda: follow(now=now, at=self._wall()))
        self._attempt("announcement", lambda: self._announce(now))
        self._attempt("drain", lambda: self._move_drain(now))
        self._attempt("node facts", lambda: self.shells.publish(self._facts()))
        self._judge(now)
        due = min(self._next_resync, self.shells.speaker.due_at, self.draining.due_at)
        ended = self._monotonic()
        self.steps.observe(ended - now)
        return max(0.0, min(due, now + _RETRY_S) - ended)

    def _attempt(self, part: str, work: Callable[[], None]) -> None:
        if not attempt(part, work, self.problems) and part == "links":
            self._seen_links = False

    def _look(self, noticed: Noticed) -> None:
        self.forwarding.notice(noticed)
        if noticed.links:
            self.placing.distrust()
        if noticed.links or not self._seen_links:
            self.links = self.shells.links.observe()
            self.gateways = self.shells.links.gateways()
            self._seen_links = True
            self._ports = ports(self.settings.interfaces, self.links, self._ports)
            self.shells.advertisements.want(self._ports)
            self.forwarding.see_links(self.links)
            self.liveness.see_links(self.settings.peers, self.links)
            set_sysctls(self.shells, self.uplinks, self.settings.interfaces, self.forwarding.form)

    def _receive(self, event: Event, now: float) -> None:
        tell_speaker(event, self.problems, self.shells.lately, now)
        self.liveness.note(event, now)
        if isinstance(event, Updated) and self.holds.of(event.peer) is not None:
            return
        lost = self.sessions.receive(event, now=now, at=self._wall())
        if lost is not None:
            self._lose(lost)
        if isinstance(event, Updated | SessionUp):
            asn = self.sessions.remote_asn(event.peer)
            if self.holds.must_go(event, asn, self.rib.counts, now):
                self.sessions.give_up(event.peer)
                self._lose(event.peer)

    def _watch_paths(self) -> None:
        for peer in self.liveness.judge(self.settings.peers):
            self._lose(peer)
        self.rib.hold(self.liveness.held)
        for peer in self.liveness.to_reset(self.sessions.all):
            self.shells.speaker.reset(peer)

    def _lose(self, peer: PeerId) -> None:
        address = next(p.address for p in self.settings.peers if p.name == peer)
        is_dead = hops_to(address, self.links)
        self._attempt("forwarding", lambda: self.forwarding.prune(is_dead))

    def _forward(self, now: float) -> None:
        if not self._seen_links:
            return
        keep = self.sessions.after_start.holds(now)
        still = self.announcer.needed(self.forwarding.fib.unreachables)
        self.forwarding.reconcile(self._own | still, keep_found=keep)

    def _place(self, now: float) -> None:
        if self._seen_links and "forwarding" not in self.problems:
            self.placing.step(keep_others=self.sessions.after_start.holds(now))

    def _announce(self, now: float) -> None:
        if self.serving.decide(self.settings):
            self._guard()
        self._attempt("unused service addresses", lambda: self._reject(now))
        aggregates = self.rejecting.protects(self.serving.aggregates)
        heard = self.announcer.is_acknowledged
        self.announcer.announce(
            self.settings,
            self._own,
            guards=Guards(self.forwarding.fib.unreachables, self.rejecting.present),
            links=self.links if self._seen_links else None,
            services=self.serving.announced(now, aggregates, heard),
            contested=self.duplicates.contested,
            kept_down=self.holds.endings(),
        )

    def _reject(self, now: float) -> None:
        needed = self.announcer.needed_aggregates(self.rejecting.present) | self.serving.aggregates
        self.rejecting.step(needed, keep_found=self.serving.is_waiting(now), now=now)

    def _guard(self) -> None:
        settings = self.settings
        policy = settings.import_policy(self.serving.addresses)
        self.rib.reconfigure(policy, {p.name: p for p in settings.peers}, settings.selection)

    def _move_drain(self, now: float) -> None:
        """Go on with the drain when the peers have what its phase tells them."""
        if self.draining.advance(is_acknowledged=self.announcer.is_acknowledged, now=now):
            self._announce(now)

    def _judge(self, now: float) -> None:
        before = self.verdict
        self.verdict = judge(before, self._signs(), self.settings.readiness, now)
        if (before.state, before.reason) != (self.verdict.state, self.verdict.reason):
            _log.info(
                "readiness changed",
                extra={"state": self.verdict.state.value, "reason": self.verdict.text},
            )

    def _signs(self) -> Signs:
        return readiness_signs(
            settings=self.settings,
            sessions=self.sessions.established,
            expected=self.announcer.expected,
            not_expected=self.serving.prefixes,
            silent=self.announcer.next_hops.missing,
            waiting=self.announcer.current.waiting,
            problems=self.problems,
            expects_pod_cidrs=self._circumstances.expects_pod_cidrs,
            drain=self.draining.state,
        )

    def _facts(self) -> NodeFacts:
        own = self._own - self.duplicates.pending
        return node_facts(
            settings=self.settings,
            mtu=smallest_mtu(self.uplinks, self.links),
            waiting=[item for item in self.announcer.current.waiting if item[0] in own],
            problems=self.problems,
            drain=self.draining.state,
        )

    @property
    def discovered(self) -> tuple[Discovered, ...]:
        """Both ends of the sessions with peers by interface, as far as they are known now."""
        heard = self.shells.advertisements.heard
        return discovered(self.settings.interfaces, self.links, self._ports, heard)

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Names of the links toward the peers."""
        waiting = (one.peer.address for one in self.settings.waiting)
        return uplinks((*(p.address for p in self.settings.peers), *waiting), self.links)

    def is_withdrawn(self) -> bool:
        """Whether every established peer has been sent, and has acknowledged, our withdrawals."""
        return self.announcer.withdrawing and self.announcer.is_acknowledged()

    def reconfigure(self, settings: AgentSettings) -> None:
        """Take new settings; peers that did not change keep their sessions (invariant 10).

        What only a new process can take (node name, the speaker's user) is told as a problem
        until the agent is started again.
        """
        fixed = settings.fixed_since_start(self.settings)
        self.problems.pop("restart", None)
        if fixed:
            self.problems["restart"] = f"a change of {', '.join(fixed)} needs a restart"
        now = self._monotonic()
        self.settings = settings
        self._own = settings.announced_cidrs
        self._guard()
        self.holds.reconfigure(settings.peers)
        self.sessions.reconfigure(
            settings.peers,
            deferral_s=settings.deferral_s,
            now=now,
            at=self._wall(),
            waiting=settings.waiting,
        )
        self.forwarding.reconfigure(settings.node_addresses)
        self._seen_links = False
        _log.info("configuration in force", extra={"peers": len(settings.peers)})
