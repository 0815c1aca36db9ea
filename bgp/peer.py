"""PeerSettings and SpeakerConfig: what the operator wants from BGP, checked once, frozen.

Everything that can be wrong with one peer is wrong here, so that `speaker.render` only has
to write. Errors name the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NewType

from bgp.bfd.settings import BfdProfile
from bgp.ending import Ending
from bgp.ends import Ends, Remote, interface_of, remote_of
from bgp.errors import PermanentError
from bgp.filter import Filter
from bgp.limits import MaxPrefixes
from bgp.nlri import IPV4, IPV6, IPAddress, Prefix
from bgp.peer_rules import DEFAULT_PORT, rules
from bgp.secret import Secret

if TYPE_CHECKING:
    from bgp.advertisement import Advertisement

PeerId = NewType("PeerId", str)
"""Name of a peer in our configuration; its address when no name is given."""


class Receive(StrEnum):
    """Who reads UPDATEs."""

    AUTO = "auto"
    """We do if this ExaBGP is one that our launcher knows, else ExaBGP."""
    STOCK = "stock"
    """ExaBGP."""
    FAST = "fast"
    """We do; with an ExaBGP that the launcher does not know, the speaker does not start."""


class PeerError(PermanentError, ValueError):
    """A setting that cannot work; `peer` and `field` say where."""

    def __init__(self, peer: str, field_name: str, reason: str) -> None:
        super().__init__(peer, field_name, reason)
        self.peer = peer
        self.field = field_name
        self.reason = reason

    def __str__(self) -> str:
        where = f"peer {self.peer!r}" if self.peer else "speaker"
        return f"{where}: {self.field}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """One configured peer. Raises PeerError for a value outside its range."""

    name: PeerId
    address: IPAddress
    """Of a peer by interface: link-local with the interface as its zone, as in fe80::1%eth1."""
    remote_asn: int | None
    """Its AS; None takes any but ours (`external`)."""
    local_asn: int
    local_address: IPAddress | None = None
    """Source address of the session; None lets the kernel choose."""
    source_interface: str | None = None
    """The session leaves by this interface only (SO_BINDTODEVICE)."""
    families: frozenset[int] = frozenset()
    """IPV4 and IPV6 unicast to exchange; empty means the family of `address`, or both families for
    a peer by interface."""
    hold_time_s: int = 9
    """Proposed hold time; KEEPALIVEs go out at a third of what is negotiated."""
    connect_retry_s: int = 10
    """Longest pause before the peer is dialled again."""
    graceful_restart_s: int = 120
    """Restart time announced (RFC 4724); 0 leaves the capability out."""
    password: Secret | None = field(default=None, repr=False)
    port: int = DEFAULT_PORT
    multihop_ttl: int | None = None
    """TTL of what we send; None is the kernel's default: our side never refuses a far peer."""
    ttl_security_hops: int | None = None
    """GTSM (RFC 5082): what comes from farther than so many hops is dropped; 1 is the link."""
    passive: bool = False
    """Wait for the peer, at `local_address` and `port`, and never dial."""
    allow_own_asn: int = 0
    """How often our own AS may stand in the AS path of what the peer announces."""
    max_prefixes: MaxPrefixes = field(default_factory=MaxPrefixes)
    shutdown: str | None = None
    """Kept down by the operator, who may give a text for the peer; None if not."""
    disabled: str = ""
    """Why there can be no session for now, in words; "" if nothing keeps it."""
    import_filter: Filter | None = field(default=None, repr=False)
    """Narrows what the guard (`policy`) lets through."""
    export_filter: Filter | None = field(default=None, repr=False)
    bfd: BfdProfile | None = None
    """How the path is watched; the speaker does not know of it."""

    def __post_init__(self) -> None:
        if not self.families:
            usual = {IPV4, IPV6} if self.interface else {self.address.version}
            object.__setattr__(self, "families", frozenset(usual))
        for name, wrong, reason in rules(self):
            if wrong:
                raise PeerError(self.name, name, reason)

    @property
    def is_enabled(self) -> bool:
        """Tell whether there shall be a session at all."""
        return self.shutdown is None and not self.disabled

    @property
    def interface(self) -> str | None:
        """The link of a peer by interface; None for one by address."""
        return interface_of(self.address)

    @property
    def link(self) -> str | None:
        """The link that the session has to use; None leaves it to the kernel."""
        return self.interface or self.source_interface

    @property
    def remote(self) -> Remote:
        """What ExaBGP knows the peer by; another one under the same name is another router."""
        return remote_of(self.address, self.local_address)

    @property
    def is_internal(self) -> bool:
        """Tell whether this is iBGP."""
        return self.remote_asn == self.local_asn


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
