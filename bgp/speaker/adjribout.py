"""AdjRibOut: what each peer shall have from us, has been told, and surely got. PURE.

Level-triggered: the wanted state comes whole, the answer is the API lines that lead there.
Announcements go to established peers only. ExaBGP refuses to reload its configuration while
routes are queued for any peer, and for a peer that does not answer they would be queued for
ever (measured, ADR 0030).

ExaBGP keeps what was announced and repeats it by itself when a session comes back, so what was
announced before and is no longer wanted must be withdrawn then.

One prefix is announced anew only once ExaBGP has written what it was told about it before: it
queues by attributes, not by time, so that of two announcements in its queue the older one may go
out last (ADR 0120). A withdrawal may follow at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bgp.ends import Remote
from bgp.event import Sent
from bgp.export import Export
from bgp.nlri import IPAddress, Prefix
from bgp.speaker import commands

Wanted = Mapping[Remote, tuple[frozenset[int], Mapping[Prefix, Export]]]
"""Per peer its families, and each prefix with what goes along with it."""


@dataclass(slots=True)
class _Peer:
    families: frozenset[int] = frozenset()
    negotiated: frozenset[int] = frozenset()
    """Of those, the ones that this session carries."""
    wanted: Mapping[Prefix, Export] = field(default_factory=dict)
    told: dict[Prefix, Export] = field(default_factory=dict)
    """What ExaBGP's cache holds for this peer, whether the session is up or not."""
    next_hop: IPAddress | None = None
    """Our end of the session; None while it is down."""
    sent: dict[Prefix, Export | None] = field(default_factory=dict)
    """What went out on this session; None for what was not wanted that way."""
    awaited: set[Prefix] = field(default_factory=set)
    """About these ExaBGP was told something that it has not written yet."""
    has_more: bool = False
    """Something is to be said once what is awaited has been written."""
    asked_ends: set[int] = field(default_factory=set)
    ends: set[int] = field(default_factory=set)

    @property
    def is_settled(self) -> bool:
        """Tell whether the peer was sent exactly what is wanted; true of a session that is down."""
        if self.next_hop is None:
            return True
        if self.awaited or self.ends < self.families & self.negotiated:
            return False
        return self.sent == self.due

    @property
    def due(self) -> Mapping[Prefix, Export]:
        """What the peer shall have on this session."""
        return {p: export for p, export in self.wanted.items() if p.family in self.negotiated}

    def begin(self, next_hop: IPAddress, negotiated: frozenset[int]) -> dict[Prefix, Export]:
        """Note a new session, and give what is to be said before anything else.

        ExaBGP repeats what it was told, with the attributes of that time; what it was told while
        it still has another configuration of the peer it may have forgotten. So it is told again.
        """
        self.next_hop, self.negotiated = next_hop, negotiated
        self.sent.clear()
        self.ends.clear()
        self.asked_ends.clear()
        # The others ExaBGP keeps, and sends nothing of.
        told = [item for item in self.told.items() if item[0].family in negotiated]
        self.awaited = {p for p, export in told if self.wanted.get(p, export) != export}
        for prefix, _ in told:
            if prefix in self.wanted and prefix not in self.awaited:
                del self.told[prefix]
        return {p: self.told[p] for p in self.awaited if p in self.wanted}


class AdjRibOut:
    """State of all peers, by what ExaBGP knows them by."""

    def __init__(self) -> None:
        self._peers: dict[Remote, _Peer] = {}

    def want(self, wanted: Wanted) -> bytes:
        """Take what every peer shall have; a peer that is missing shall have nothing."""
        lines = []
        for remote, (families, prefixes) in wanted.items():
            peer = self._peers.setdefault(remote, _Peer())
            peer.families, peer.wanted = families, prefixes
        for remote, peer in self._peers.items():
            if remote not in wanted:
                peer.families, peer.wanted = frozenset(), {}
            lines.append(_say(remote, peer))
        return b"".join(lines)

    def session_up(self, remote: Remote, next_hop: IPAddress, negotiated: frozenset[int]) -> bytes:
        """Give what to say on a new session: withdrawals, announcements, End-of-RIB.

        `negotiated` are the families that it carries.
        """
        peer = self._peers.setdefault(remote, _Peer())
        before = peer.begin(next_hop, negotiated)
        return commands.announce(remote, next_hop, before) + _say(remote, peer)

    def session_down(self, remote: Remote) -> None:
        """Note that nothing can be said to the peer any more."""
        peer = self._peers.get(remote)
        if peer is not None:
            peer.next_hop = None

    def confirm(self, remote: Remote, event: Sent) -> bytes:
        """Note what ExaBGP has written to the connection; give what can be said now."""
        peer = self._peers.get(remote)
        if peer is None:
            return b""
        for prefix in event.withdrawn:
            peer.sent.pop(prefix, None)
            if prefix not in peer.told:
                peer.awaited.discard(prefix)
        for prefix in event.announced:
            told = peer.told.get(prefix)
            if told is None or event.attributes is None:
                peer.sent[prefix] = None
            elif told.is_what_was_sent(event.attributes):
                peer.sent[prefix] = told
                peer.awaited.discard(prefix)
            else:
                peer.sent[prefix] = None
        if event.end_of_rib is not None:
            peer.ends.add(event.end_of_rib)
        return _say(remote, peer) if peer.has_more else b""

    def forget(self, remote: Remote) -> None:
        """Drop a peer that ExaBGP no longer knows."""
        self._peers.pop(remote, None)

    def reset(self) -> None:
        """Note that the speaker is gone and all it knew with it; the wanted state stays."""
        self._peers = {
            remote: _Peer(families=peer.families, wanted=peer.wanted)
            for remote, peer in self._peers.items()
            if peer.families
        }

    def is_up(self, remote: Remote) -> bool:
        """Tell whether there is a session with the peer."""
        return remote in self._peers and self._peers[remote].next_hop is not None

    def is_settled(self, remote: Remote | None = None) -> bool:
        """Tell whether the peer, or every peer, was sent exactly what is wanted."""
        if remote is None:
            return all(peer.is_settled for peer in self._peers.values())
        return remote not in self._peers or self._peers[remote].is_settled


def _say(remote: Remote, peer: _Peer) -> bytes:
    """Give what leads from what was told to what is wanted, as far as it can be said now."""
    if peer.next_hop is None:
        return b""
    gone = {p for p in peer.told if p not in peer.wanted and p.family in peer.negotiated}
    new = {p: export for p, export in peer.due.items() if peer.told.get(p) != export}
    now = {p: export for p, export in new.items() if p not in peer.awaited}
    for prefix in gone:
        del peer.told[prefix]
    peer.told |= now
    peer.awaited |= gone | now.keys()
    peer.has_more = len(now) < len(new)
    lines = [
        commands.withdraw(remote, peer.next_hop, gone),
        commands.announce(remote, peer.next_hop, now),
    ]
    if not peer.has_more:
        ends = sorted(peer.families & peer.negotiated - peer.asked_ends)
        peer.asked_ends.update(ends)
        lines += [commands.end_of_rib(remote, family) for family in ends]
    return b"".join(lines)
