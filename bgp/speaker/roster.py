"""Roster: who the configured peers are, for a speaker that knows only addresses. PURE.

A peer by interface is known by both ends of its session (`bgp.ends`).
"""

from __future__ import annotations

from collections.abc import Mapping

from bgp.announcing import exports
from bgp.ends import EXTENDED_NEXT_HOP, Ends, Remote, address_of, name_of, remote_named
from bgp.event import Connected, Direction, Event, Opened, SessionDown
from bgp.export import Export
from bgp.nlri import IPV4, IPAddress, Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.peer_rules import DEFAULT_PORT
from bgp.secret import Secret
from bgp.speaker.supervision import DEFAULT_HOLD_TIME_S
from bgp.speaker_config import SpeakerConfig


class Roster:
    """The peers of the configuration last given, and those that are just leaving."""

    def __init__(self) -> None:
        self._peers: tuple[PeerSettings, ...] = ()
        self._running: tuple[PeerSettings, ...] = ()
        """Those that are not kept down."""
        self._hold_times: dict[Remote, int] = {}
        self._offers: dict[tuple[Remote, Direction], frozenset[int]] = {}
        self.ids: Mapping[str, PeerId] = {}
        """What the speaker calls a peer (`ends.name_of`) -> id, as `events.parse` wants it."""
        self.via: Mapping[PeerId, IPAddress] = {}
        """Of peers by interface: the next hop of whatever they announce."""
        self.leaving: frozenset[Remote] = frozenset()
        """Peers that the running ExaBGP may still know, but shall not."""
        self.moved: frozenset[Remote] = frozenset()
        """Peers now on another link: with the next configuration ExaBGP must dial anew."""
        self._former: frozenset[PeerId] = frozenset()
        """Peers that left and came back: until they connect, what is told of them is old."""

    def take(self, config: SpeakerConfig) -> tuple[Remote, ...]:
        """Take a new configuration and give the peers whose session must begin anew.

        Those that were renamed: ExaBGP knows no names, so the session would go on, and all that
        was learned under the old name would be missing under the new one. And those that come
        back before ExaBGP let go of them (a link that lost its carrier for a moment).
        """
        anew = tuple(
            peer.remote
            for peer in config.running
            if self.ids.get(name_of(peer.remote), peer.name) != peer.name
            or peer.remote in self.leaving
        )
        back = {peer.name for peer in config.running if peer.remote in self.leaving}
        links = {peer.remote: peer.link for peer in self._running}
        before = self.leaving.union(links)
        self._peers, self._running = config.peers, config.running
        self.ids = {name_of(peer.remote): peer.name for peer in config.peers}
        self.via = {peer.name: peer.address for peer in config.peers if peer.interface}
        # ExaBGP does not look at the interface when it compares configurations.
        self.moved |= {p.remote for p in config.running if links.get(p.remote, p.link) != p.link}
        self.leaving = before.difference(peer.remote for peer in config.running)
        self._former = (self._former & set(self.ids.values())) | back
        return anew

    def is_old(self, event: Event) -> bool:
        """Tell whether the event belongs to a session from before its peer left."""
        if not self._former:
            return False
        peer = getattr(event, "peer", None)
        if isinstance(event, Connected):
            self._former -= {event.peer}
        return peer in self._former

    def clear(self) -> None:
        """Note that the speaker is gone, and with it all sessions and whoever was leaving."""
        self._hold_times.clear()
        self._offers.clear()
        self.leaving = self.moved = frozenset()
        self._former = frozenset()

    def remote(self, peer: PeerId) -> Remote:
        """Give what the speaker knows a peer by; one that is not configured is its name."""
        for settings in self._peers:
            if settings.name == peer:
                return settings.remote
        return remote_named(peer)

    @property
    def remotes(self) -> frozenset[tuple[IPAddress, int]]:
        """Addresses and ports of the configured peers."""
        return frozenset((address_of(peer.remote), peer.port) for peer in self._peers)

    def port(self, remote: Remote) -> int:
        """Give the port that the speaker dials."""
        return next((p.port for p in self._peers if p.remote == remote), DEFAULT_PORT)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All passwords, for redaction."""
        return tuple(peer.password for peer in self._peers if peer.password is not None)

    def note(self, event: Event) -> None:
        """Follow the hold times that peers propose, and the families of both OPENs."""
        if isinstance(event, Opened):
            remote = self.remote(event.peer)
            # IPv4 over a link without IPv4 addresses takes RFC 8950 at both ends.
            extended = not isinstance(remote, Ends) or EXTENDED_NEXT_HOP in event.capabilities
            lacking = frozenset() if extended else frozenset({IPV4})
            self._offers[remote, event.direction] = event.families - lacking
            if event.direction is Direction.RECEIVED:
                self._hold_times[remote] = event.hold_time_s
        elif isinstance(event, SessionDown):
            self._hold_times.pop(self.remote(event.peer), None)

    def negotiated(self, remote: Remote) -> frozenset[int]:
        """Give the families that both OPENs of the peer's session offer."""
        offers = [self._offers.get((remote, direction), frozenset()) for direction in Direction]
        return frozenset.intersection(*offers)

    @property
    def shortest_hold_time_s(self) -> int:
        """Give the shortest hold time that a session has or may have."""
        configured = [peer.hold_time_s for peer in self._peers]
        times = [time_s for time_s in (*configured, *self._hold_times.values()) if time_s]
        return min(times, default=DEFAULT_HOLD_TIME_S)

    @staticmethod
    def wanted(
        config: SpeakerConfig,
    ) -> dict[Remote, tuple[frozenset[int], dict[Prefix, Export]]]:
        """Give per peer its families and what it shall be told, as `AdjRibOut.want` takes it."""
        return {peer.remote: (peer.families, exports(config, peer)) for peer in config.running}
