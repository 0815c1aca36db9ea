"""Which peers are kept without a session, and why: by the operator, or by what the peer did.

A peer that announces more than it may (design, invariant 11) or comes with an AS it may not have
is sent a NOTIFICATION and left alone for a while. The clock is monotonic and given in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bgp.adjribin import Counts
from bgp.ending import Ending
from bgp.event import SessionUp, Updated
from bgp.limits import LimitAction
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.peer_rules import LOWEST_FREE_PORT

_log = logging.getLogger(__name__)
_BAD_AS_RETRY_S: Final = 60

Count = Callable[[PeerId, int], Counts]
"""`Rib.counts`."""


class Kind(StrEnum):
    """Why a peer is down, in the word that stands in place of its state."""

    SHUTDOWN = "shutdown"
    """The operator wants it so."""
    DISABLED = "disabled"
    """Something that it needs is missing."""
    HELD = "held"
    """The peer did something that it may not; it is tried again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A peer without a session."""

    kind: Kind
    reason: str
    """In words."""
    ending: Ending
    until: float | None = None
    """When it is tried again; None: when the configuration changes."""


class Holds:
    """All peers that are kept down."""

    def __init__(self, peers: tuple[PeerSettings, ...], *, low_ports: bool = True) -> None:
        """Begin with what the configuration says.

        Without `low_ports` the speaker that runs cannot listen below port 1024.
        """
        self._low_ports = low_ports
        self._peers = {peer.name: peer for peer in peers}
        self._held: dict[PeerId, Hold] = {}

    def reconfigure(self, peers: tuple[PeerSettings, ...]) -> None:
        """Take new settings; a peer whose settings changed is not held any longer."""
        before, self._peers = self._peers, {peer.name: peer for peer in peers}
        self._held = {
            name: hold
            for name, hold in self._held.items()
            if self._peers.get(name) == before.get(name)
        }

    def of(self, peer: PeerId) -> Hold | None:
        """Return why the peer is kept down, None if it is not."""
        settings = self._peers.get(peer)
        if settings is None:
            return None
        if settings.is_enabled:
            return self._held.get(peer) or self._deaf(settings)
        if settings.disabled:
            return Hold(kind=Kind.DISABLED, reason=settings.disabled, ending=Ending.removed())
        text = settings.shutdown or ""
        reason = "shut down in the configuration" + (f": {text}" if text else "")
        return Hold(kind=Kind.SHUTDOWN, reason=reason, ending=Ending.shutdown(text))

    def _deaf(self, peer: PeerSettings) -> Hold | None:
        if self._low_ports or not peer.passive or peer.port >= LOWEST_FREE_PORT:
            return None
        reason = (
            f"the speaker runs without the right to listen at port {peer.port}: it gets it when the"
            " agent starts with a passive peer in its configuration, and CAP_NET_BIND_SERVICE"
        )
        return Hold(kind=Kind.DISABLED, reason=reason, ending=Ending.removed())

    def endings(self) -> Mapping[PeerId, Ending]:
        """Return what `SpeakerConfig.kept_down` needs."""
        found = {name: hold.ending for name in self._peers if (hold := self.of(name))}
        return found

    def names(self) -> frozenset[PeerId]:
        """Return the peers that are kept down."""
        return frozenset(self.endings())

    def must_go(
        self, event: Updated | SessionUp, asn: int | None, count: Count, now: float
    ) -> bool:
        """Tell whether the peer did what it may not; if so, it is kept down from now on.

        `asn` is that of its OPEN. Our launcher refuses a wrong one earlier; an ExaBGP that the
        launcher does not know lets it pass.
        """
        peer = self._peers.get(event.peer)
        if peer is None:
            return False
        if isinstance(event, SessionUp):
            if peer.remote_asn is not None or asn != peer.local_asn:
                return False
            what = f"its AS is ours ({asn}), and an external one is expected"
            self._hold(peer.name, Ending.bad_peer_as(), what, now + _BAD_AS_RETRY_S)
            return True
        limits = peer.max_prefixes
        if limits.action is LimitAction.WARN:
            return False
        for family, received, limit in _exceeded(peer, count):
            what = f"{received} ipv{family} prefixes received, the limit is {limit}"
            ending = Ending.max_prefixes(family, limit)
            self._hold(peer.name, ending, what, now + limits.retry_after_s)
            return True
        return False

    def expire(self, now: float) -> None:
        """Let those go whose time is over."""
        for peer, hold in tuple(self._held.items()):
            if hold.until is not None and now >= hold.until:
                del self._held[peer]
                _log.info("peer is tried again", extra={"peer": peer})

    def complaints(self, count: Count, now: float) -> list[str]:
        """Return in words what the operator should know; a wanted shutdown is none."""
        found = []
        for name, settings in self._peers.items():
            hold = self.of(name)
            if hold is None:
                found += [
                    f"{name}: {received} ipv{family} prefixes received, the limit is {limit}"
                    for family, received, limit in _exceeded(settings, count)
                ]
            elif hold.kind is not Kind.SHUTDOWN:
                found.append(f"{name} is {hold.kind}: {describe(hold, now)}")
        return found

    def _hold(self, peer: PeerId, ending: Ending, reason: str, until: float) -> None:
        self._held[peer] = Hold(kind=Kind.HELD, reason=reason, ending=ending, until=until)
        _log.error("peer held down", extra={"peer": peer, "reason": reason, "sent": str(ending)})


def describe(hold: Hold, now: float) -> str:
    """Return the reason, and when the peer is tried again."""
    if hold.until is None:
        return hold.reason
    return f"{hold.reason}; tried again in {max(0.0, hold.until - now):.0f} s"


def _exceeded(settings: PeerSettings, count: Count) -> Iterable[tuple[int, int, int]]:
    for family in sorted(settings.families):
        received, limit = count(settings.name, family).received, settings.max_prefixes.of(family)
        if received > limit:
            yield family, received, limit
