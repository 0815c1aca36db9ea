"""SpeakerConfig: all that the operator wants from BGP on this node, checked once, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from bgp.advertisement import Advertisement
from bgp.ending import Ending
from bgp.ends import Ends
from bgp.nlri import IPAddress, Prefix
from bgp.peer import PeerError, PeerSettings
from bgp.peer_id import PeerId


def _twice(field_name: str, value: object, other: PeerId) -> tuple[str, str]:
    if isinstance(value, Ends):
        return "interface", (
            f"the addresses {value.peer} and {value.local} are those of another link, too, and the"
            " speaker cannot tell the two apart: give the link another link-local address"
        )
    also = "" if field_name == "name" else f"; the other is {other}"
    return field_name, f"{value} is used by two peers{also}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerConfig:
    """All the speaker is to do. Raises PeerError for peers that contradict each other."""

    router_id: IPv4Address
    peers: tuple[PeerSettings, ...] = ()
    networks: tuple[Prefix, ...] = ()
    """Announced to every peer of their family, next hop self, before End-of-RIB."""
    advertisements: tuple[Advertisement, ...] = ()
    """Which of them which peer gets, and how; none gives every peer everything."""
    going_away: bool = False
    """Everything is announced with GRACEFUL_SHUTDOWN (RFC 8326)."""
    prepend: int = 0
    """How often our AS is put before the path of everything, while going away."""
    next_hops: Mapping[PeerId, IPAddress] = field(default_factory=dict)
    """Of peers whose session carries the family that is not its own, too: our address of that
    family that the peer can reach. Without one, that family is not announced to the peer."""
    kept_down: Mapping[PeerId, Ending] = field(default_factory=dict)
    """Peers without a session for now, and what an existing one is ended with."""

    def __post_init__(self) -> None:
        if int(self.router_id) == 0:
            raise PeerError("", "router_id", "must not be 0.0.0.0 (RFC 6286)")
        for name in ("name", "address", "remote"):
            seen: dict[object, PeerId] = {}
            for peer in self.peers:
                value = getattr(peer, name)
                if value in seen:
                    raise PeerError(peer.name, *_twice(name, value, seen[value]))
                seen[value] = peer.name
        self._check_listening()

    def _check_listening(self) -> None:
        """Refuse what one listening socket cannot do: its TTL is checked for all its peers."""
        hops: dict[object, int | None] = {}
        for peer in self.peers:
            where = (peer.local_address, peer.port)
            if peer.passive and hops.setdefault(where, peer.ttl_security_hops) != (
                peer.ttl_security_hops
            ):
                reason = "passive peers at one local_address and port must have the same"
                raise PeerError(peer.name, "ttl_security", reason)

    @property
    def running(self) -> tuple[PeerSettings, ...]:
        """The peers that shall have a session."""
        return tuple(peer for peer in self.peers if peer.name not in self.kept_down)

    def networks_for(self, peer: PeerSettings) -> tuple[Prefix, ...]:
        """Give what is announced to this peer, sorted, without duplicates."""
        families = peer.families
        if not peer.interface and peer.name not in self.next_hops:
            families &= {peer.address.version}
        return tuple(sorted({n for n in self.networks if n.family in families}))
