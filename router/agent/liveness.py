"""Liveness: what BFD says of the peers, and what follows for their paths.

Level-triggered like the rest: every step compares what is with what should be. A peer that is
not trusted keeps its paths in the RIB, unused; its BGP session is reset once for each loss, so
that it either proves the path anew or ends.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from bgp.bfd.report import SessionReport
from bgp.bfd.session import Spec, Verdict
from bgp.bfd.state import State
from bgp.event import Event, SessionDown, SessionUp, SpeakerExited
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.session import Session
from bgp.session import State as SessionState
from router.agent.bfd_link import BfdShell
from router.model.link import Links
from router.reconcile.liveness import Watch, cut, distrusted, report_of, watch

_log = logging.getLogger(__name__)
_NOTHING: Mapping[str, SessionReport] = {}


class Liveness:
    """One node's view of its peers' paths."""

    def __init__(self, shell: BfdShell) -> None:
        """Watch nothing yet."""
        self._shell = shell
        self._watch = Watch(specs={}, missing={})
        self._told: tuple[Spec, ...] | None = None
        self._established_at: dict[PeerId, float] = {}
        self._acted_on: dict[PeerId, float] = {}
        """Per peer the loss for which its session was reset last."""
        self._lost: frozenset[PeerId] = frozenset()
        self.distrusted: frozenset[PeerId] = frozenset()
        self._cut: Mapping[PeerId, str] = {}

    @property
    def held(self) -> frozenset[PeerId]:
        """Peers whose paths are not used now, though their sessions may stand."""
        return self.distrusted | self._cut.keys()

    def why_held(self, peer: PeerId) -> str:
        """Return in words why no path of this peer is used; '' if they are."""
        if peer in self._cut:
            return f"link {self._cut[peer]} toward this peer has no carrier"
        return "BFD lost the way to this peer" if peer in self.distrusted else ""

    def see_links(self, peers: tuple[PeerSettings, ...], links: Links) -> None:
        """Ask the daemon for what the peers need on these links."""
        self._cut = cut(peers, links)
        self._watch = watch(peers, links, self._watch.specs)
        specs = tuple(self._watch.specs.values())
        if specs != self._told:
            self._shell.want(specs)
            self._told = specs

    def note(self, event: Event, now: float) -> None:
        """Follow the BGP sessions."""
        if isinstance(event, SessionUp):
            self._established_at[event.peer] = now
        elif isinstance(event, SessionDown):
            self._established_at.pop(event.peer, None)
        elif isinstance(event, SpeakerExited):
            self._established_at.clear()

    def judge(self, peers: tuple[PeerSettings, ...]) -> frozenset[PeerId]:
        """Judge all peers anew; return those whose trust has just ended."""
        before = self.distrusted
        self.distrusted = distrusted(peers, self._reports, self._established_at)
        for peer in sorted(before ^ self.distrusted):
            trusted = peer not in self.distrusted
            _log.warning("bfd verdict", extra={"peer": peer, "paths_used": trusted})
        return self.distrusted - before

    def to_reset(self, peers: tuple[tuple[PeerSettings, Session], ...]) -> list[PeerId]:
        """Return the peers whose BGP session is to be reset now, each once.

        Those whose path was lost under an established session; and those whose path is back
        while the speaker waits before it dials again.
        """
        found: list[PeerId] = []
        lost: set[PeerId] = set()
        for peer, session in peers:
            report = report_of(peer, self._reports)
            if report is None or peer.bfd is None:
                continue
            at = report.lost_at
            if report.verdict is Verdict.LOST and at is not None:
                lost.add(peer.name)
                began = self._established_at.get(peer.name)
                if began is not None and began <= at != self._acted_on.get(peer.name):
                    self._acted_on[peer.name] = at
                    found.append(peer.name)
            elif (
                peer.name in self._lost
                and report.verdict is Verdict.ALIVE
                and session.state is SessionState.CONNECT
            ):
                found.append(peer.name)
        self._lost = frozenset(lost)
        return found

    def complaints(self, peers: tuple[PeerSettings, ...]) -> list[str]:
        """Return in words what is not well."""
        found = [f"{peer} has no BFD: {why}" for peer, why in sorted(self._watch.missing.items())]
        if self._watch.specs and self._shell.problem:
            found.append(f"podroute bfd: {self._shell.problem}; what it said last stands")
        for peer in peers:
            if peer.name in self.distrusted:
                report = report_of(peer, self._reports)
                why = report.reason if report and report.reason else "never up, but required"
                found.append(f"no path of {peer.name} is used: BFD: {why}")
        return found

    def describe(self, peer: PeerSettings) -> dict[str, object] | None:
        """Return the peer's BFD session as JSON values; None without BFD."""
        if peer.bfd is None:
            return None
        report = report_of(peer, self._reports)
        state = "unknown" if report is None else _name(report.state)
        return {
            "state": state,
            "trusted": peer.name not in self.distrusted,
            "required": peer.bfd.required,
            "interval_ms": report.interval_ms if report else peer.bfd.interval_ms,
            "detection_ms": report.detection_ms if report else None,
            "remote_state": _name(report.remote_state) if report else None,
            "times_up": report.ups if report else 0,
            "times_down": report.downs if report else 0,
            "last_down": (report.reason if report else "") or None,
            "daemon": self._daemon(),
            "problem": self._watch.missing.get(peer.name) or self._shell.problem or None,
        }

    def _daemon(self) -> dict[str, object] | None:
        report = self._shell.report
        if report is None:
            return None
        return {"pid": report.pid, "scheduling": report.priority, "memory": report.memory}

    @property
    def _reports(self) -> Mapping[str, SessionReport]:
        report = self._shell.report
        return _NOTHING if report is None else report.sessions


def _name(state: State) -> str:
    return state.name.lower()
