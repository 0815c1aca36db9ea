"""AdjRibOut: what each peer shall have from us, has been told, and surely got. PURE.

Level-triggered: the wanted state comes whole, the answer is the API lines that lead there.
Announcements go to established peers only. ExaBGP refuses to reload its configuration while
routes are queued for any peer, and for a peer that does not answer they would be queued for
ever (measured, ADR 0030).

ExaBGP keeps what was announced and repeats it by itself when a session comes back, so what was
announced before and is no longer wanted must be withdrawn then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bgp.event import Sent
from bgp.nlri import IPAddress, Prefix
from bgp.speaker import commands


@dataclass(slots=True)
class _Peer:
    families: frozenset[int] = frozenset()
    wanted: frozenset[Prefix] = frozenset()
    told: set[Prefix] = field(default_factory=set)
    """What ExaBGP's cache holds for this peer, whether the session is up or not."""
    next_hop: IPAddress | None = None
    """Our end of the session; None while it is down."""
    sent: set[Prefix] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)

    @property
    def is_settled(self) -> bool:
        """Tell whether the peer was sent exactly what is wanted; true of a session that is down."""
        if self.next_hop is None:
            return True
        return self.sent == self.wanted and self.ends >= self.families


class AdjRibOut:
    """State of all peers, by address."""

    def __init__(self) -> None:
        self._peers: dict[IPAddress, _Peer] = {}

    def want(self, wanted: Mapping[IPAddress, tuple[frozenset[int], frozenset[Prefix]]]) -> bytes:
        """Take per peer its families and prefixes; a peer that is missing shall have none."""
        lines = []
        for address, (families, prefixes) in wanted.items():
            peer = self._peers.setdefault(address, _Peer())
            peer.families, peer.wanted = families, prefixes
        for address, peer in self._peers.items():
            if address not in wanted:
                peer.families, peer.wanted = frozenset(), frozenset()
            lines.append(self._difference(address, peer))
        return b"".join(lines)

    def session_up(self, address: IPAddress, next_hop: IPAddress) -> bytes:
        """Give what to say on a new session: withdrawals, announcements, End-of-RIB."""
        peer = self._peers.setdefault(address, _Peer())
        peer.next_hop = next_hop
        peer.sent.clear()
        peer.ends.clear()
        replayed, peer.told = peer.told - peer.wanted, set(peer.wanted)
        lines = [
            commands.withdraw(address, next_hop, replayed),
            commands.announce(address, next_hop, peer.wanted),
            *(commands.end_of_rib(address, family) for family in sorted(peer.families)),
        ]
        return b"".join(lines)

    def session_down(self, address: IPAddress) -> None:
        """Note that nothing can be said to the peer any more."""
        peer = self._peers.get(address)
        if peer is not None:
            peer.next_hop = None

    def confirm(self, address: IPAddress, event: Sent) -> None:
        """Note what ExaBGP has written to the connection."""
        peer = self._peers.get(address)
        if peer is None:
            return
        peer.sent.difference_update(event.withdrawn)
        peer.sent.update(event.announced)
        if event.end_of_rib is not None:
            peer.ends.add(event.end_of_rib)

    def forget(self, address: IPAddress) -> None:
        """Drop a peer that ExaBGP no longer knows."""
        self._peers.pop(address, None)

    def reset(self) -> None:
        """Note that the speaker is gone and all it knew with it; the wanted state stays."""
        self._peers = {
            address: _Peer(families=peer.families, wanted=peer.wanted)
            for address, peer in self._peers.items()
            if peer.families
        }

    def is_settled(self, address: IPAddress | None = None) -> bool:
        """Tell whether the peer, or every peer, was sent exactly what is wanted."""
        if address is None:
            return all(peer.is_settled for peer in self._peers.values())
        return address not in self._peers or self._peers[address].is_settled

    def _difference(self, address: IPAddress, peer: _Peer) -> bytes:
        if peer.next_hop is None:
            return b""
        gone, new = peer.told - peer.wanted, peer.wanted - peer.told
        peer.told = set(peer.wanted)
        return commands.withdraw(address, peer.next_hop, gone) + commands.announce(
            address, peer.next_hop, new
        )
