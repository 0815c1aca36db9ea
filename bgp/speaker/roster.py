"""Roster: who the configured peers are, for a speaker that knows only addresses. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from bgp.announcing import exports
from bgp.event import Direction, Event, Opened, SessionDown
from bgp.export import Export
from bgp.nlri import IPAddress, Prefix
from bgp.peer import DEFAULT_PORT, PeerId, PeerSettings, SpeakerConfig
from bgp.secret import Secret
from bgp.speaker.supervision import DEFAULT_HOLD_TIME_S


class Roster:
    """The peers of the configuration last given, and those that are just leaving."""

    def __init__(self) -> None:
        self._peers: tuple[PeerSettings, ...] = ()
        self._hold_times: dict[IPAddress, int] = {}
        self.ids: Mapping[str, PeerId] = {}
        """Address as text -> id, as `events.parse` wants it."""
        self.leaving: frozenset[IPAddress] = frozenset()
        """Peers that the running ExaBGP may still know, but shall not."""

    def take(self, config: SpeakerConfig) -> tuple[IPAddress, ...]:
        """Take a new configuration and give the addresses whose peer was renamed.

        ExaBGP knows no names: the session of a renamed peer would go on, and all that was
        learned under the old name would be missing under the new one.
        """
        renamed = tuple(
            peer.address
            for peer in config.peers
            if self.ids.get(str(peer.address), peer.name) != peer.name
        )
        before = self.leaving.union(peer.address for peer in self._peers)
        self._peers = config.peers
        self.ids = {str(peer.address): peer.name for peer in config.peers}
        self.leaving = before.difference(peer.address for peer in config.peers)
        return renamed

    def clear(self) -> None:
        """Note that the speaker is gone, and with it all sessions and whoever was leaving."""
        self._hold_times.clear()
        self.leaving = frozenset()

    def address(self, peer: PeerId) -> IPAddress:
        """Give the address of a peer; one that is not configured goes by its address."""
        for settings in self._peers:
            if settings.name == peer:
                return settings.address
        return ip_address(peer)

    @property
    def remotes(self) -> frozenset[tuple[IPAddress, int]]:
        """Addresses and ports of the configured peers."""
        return frozenset((peer.address, peer.port) for peer in self._peers)

    def port(self, address: IPAddress) -> int:
        """Give the port that the speaker dials."""
        return dict(self.remotes).get(address, DEFAULT_PORT)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All passwords, for redaction."""
        return tuple(peer.password for peer in self._peers if peer.password is not None)

    def note(self, event: Event) -> None:
        """Follow the hold times that peers propose."""
        if isinstance(event, Opened) and event.direction is Direction.RECEIVED:
            self._hold_times[self.address(event.peer)] = event.hold_time_s
        elif isinstance(event, SessionDown):
            self._hold_times.pop(self.address(event.peer), None)

    @property
    def shortest_hold_time_s(self) -> int:
        """Give the shortest hold time that a session has or may have."""
        configured = [peer.hold_time_s for peer in self._peers]
        times = [time_s for time_s in (*configured, *self._hold_times.values()) if time_s]
        return min(times, default=DEFAULT_HOLD_TIME_S)

    @staticmethod
    def wanted(
        config: SpeakerConfig,
    ) -> dict[IPAddress, tuple[frozenset[int], dict[Prefix, Export]]]:
        """Give per peer its families and what it shall be told, as `AdjRibOut.want` takes it."""
        return {peer.address: (peer.families, exports(config, peer)) for peer in config.peers}
