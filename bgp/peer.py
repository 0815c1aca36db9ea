"""PeerSettings and SpeakerConfig: what the operator wants from BGP, checked once, frozen.

Everything that can be wrong with one peer is wrong here, so that `speaker.render` only has
to write. Errors name the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import NewType

from bgp.bfd.settings import BfdProfile
from bgp.ends import Ends, Remote, interface_of, remote_of
from bgp.errors import PermanentError
from bgp.nlri import IPV4, IPV6, IPAddress, Prefix
from bgp.secret import Secret

PeerId = NewType("PeerId", str)
"""Name of a peer in our configuration; its address when no name is given."""

MAX_ASN = 2**32 - 1
MIN_HOLD_TIME_S = 3
MAX_HOLD_TIME_S = 65535
MAX_RESTART_TIME_S = 4095
"""Twelve bits on the wire (RFC 4724 section 3); ExaBGP truncates silently what is larger."""
MAX_PORT = 65535
DEFAULT_PORT = 179
MAX_TTL = 255
INTERFACE_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,14}")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:%-]{0,62}")


class Receive(StrEnum):
    """Who reads UPDATEs."""

    AUTO = "auto"
    """We do if this ExaBGP is one that our launcher knows, else ExaBGP."""
    STOCK = "stock"
    """ExaBGP, as it was installed."""
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
    remote_asn: int
    local_asn: int
    local_address: IPAddress | None = None
    """Source address of the session; None lets the kernel choose."""
    families: frozenset[int] = frozenset()
    """IPV4 and IPV6 unicast to exchange; empty means the family of `address`, or both families for
    a peer by interface."""
    hold_time_s: int = 9
    """Proposed hold time; KEEPALIVEs go out at a third of what is negotiated."""
    graceful_restart_s: int = 120
    """Restart time announced (RFC 4724); 0 leaves the capability out."""
    password: Secret | None = field(default=None, repr=False)
    port: int = DEFAULT_PORT
    multihop_ttl: int | None = None
    """TTL of what we send; None is the kernel's default: our side never refuses a far peer."""
    passive: bool = False
    bfd: BfdProfile | None = None
    """How the path is watched; the speaker does not know of it."""

    def __post_init__(self) -> None:
        if not self.families:
            usual = {IPV4, IPV6} if self.interface else {self.address.version}
            object.__setattr__(self, "families", frozenset(usual))
        for name, wrong, reason in self._rules():
            if wrong:
                raise PeerError(self.name, name, reason)

    def _rules(self) -> tuple[tuple[str, bool, str], ...]:
        local = self.local_address
        hold = self.hold_time_s
        return (
            ("name", not NAME_PATTERN.fullmatch(self.name), "letters, digits and _.:%- only"),
            ("address", _unusable(self.address), "not an address of one host"),
            (
                "address",
                self.address.is_link_local and not self.interface,
                "a link-local address alone names no peer; give its interface",
            ),
            (
                "interface",
                bool(self.interface) and not INTERFACE_PATTERN.fullmatch(self.interface or ""),
                "not the name of an interface",
            ),
            (
                "local_address",
                bool(self.interface) and not (local is not None and local.is_link_local),
                "a peer by interface needs our link-local address",
            ),
            ("remote_asn", not 1 <= self.remote_asn <= MAX_ASN, f"not in 1..{MAX_ASN}"),
            ("local_asn", not 1 <= self.local_asn <= MAX_ASN, f"not in 1..{MAX_ASN}"),
            (
                "local_address",
                local is not None and local.version != self.address.version,
                "not of the family of the peer's address",
            ),
            ("families", not self.families <= {IPV4, IPV6}, "only 4 and 6"),
            (
                "families",
                self.families != {self.address.version} and not self.interface,
                "only the family of the peer's address is supported; use one peer per family",
            ),
            (
                "hold_time_s",
                not MIN_HOLD_TIME_S <= hold <= MAX_HOLD_TIME_S,
                f"not in {MIN_HOLD_TIME_S}..{MAX_HOLD_TIME_S}",
            ),
            (
                "graceful_restart_s",
                not 0 <= self.graceful_restart_s <= MAX_RESTART_TIME_S,
                f"not in 0..{MAX_RESTART_TIME_S}",
            ),
            ("port", not 1 <= self.port <= MAX_PORT, f"not in 1..{MAX_PORT}"),
            (
                "multihop_ttl",
                self.multihop_ttl is not None and not 1 <= self.multihop_ttl <= MAX_TTL,
                f"not in 1..{MAX_TTL}",
            ),
            ("passive", self.passive, "not supported: the speaker only dials"),
        )

    @property
    def interface(self) -> str | None:
        """The link of a peer by interface; None for one by address."""
        return interface_of(self.address)

    @property
    def remote(self) -> Remote:
        """What ExaBGP knows the peer by; another one under the same name is another router."""
        return remote_of(self.address, self.local_address)

    @property
    def is_internal(self) -> bool:
        """Tell whether this is iBGP."""
        return self.remote_asn == self.local_asn


def _unusable(address: IPAddress) -> bool:
    zone = isinstance(address, IPv6Address) and address.scope_id
    return bool(
        address.is_multicast or address.is_unspecified or (zone and not address.is_link_local)
    )


def _twice(field_name: str, value: object) -> tuple[str, str]:
    if isinstance(value, Ends):
        return "interface", (
            f"the addresses {value.peer} and {value.local} are those of another link, too, and the"
            " speaker cannot tell the two apart: give the link another link-local address"
        )
    return field_name, f"{value} is used by two peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerConfig:
    """All the speaker is to do. Raises PeerError for peers that contradict each other."""

    router_id: IPv4Address
    peers: tuple[PeerSettings, ...] = ()
    networks: tuple[Prefix, ...] = ()
    """Announced to every peer of their family, next hop self, before End-of-RIB."""
    going_away: bool = False
    """Everything is announced with GRACEFUL_SHUTDOWN (RFC 8326)."""
    prepend: int = 0
    """How often our AS is put before the path of everything, while going away."""

    def __post_init__(self) -> None:
        if int(self.router_id) == 0:
            raise PeerError("", "router_id", "must not be 0.0.0.0 (RFC 6286)")
        for name in ("name", "address", "remote"):
            seen: set[object] = set()
            for peer in self.peers:
                value = getattr(peer, name)
                if value in seen:
                    raise PeerError(peer.name, *_twice(name, value))
                seen.add(value)

    def networks_for(self, peer: PeerSettings) -> tuple[Prefix, ...]:
        """Give what is announced to this peer, sorted, without duplicates."""
        return tuple(sorted({n for n in self.networks if n.family in peer.families}))
