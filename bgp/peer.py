"""PeerSettings: what the operator wants of a peer, checked once, frozen.

Everything that can be wrong with one peer is wrong here, so that `speaker.render` only has
to write. Errors name the field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bgp.bfd.settings import BfdProfile
from bgp.ends import Remote, interface_of, remote_of
from bgp.errors import PermanentError
from bgp.filter import Filter
from bgp.limits import MaxPrefixes
from bgp.nlri import IPV4, IPV6, IPAddress
from bgp.peer_id import PeerId
from bgp.peer_rules import DEFAULT_PORT, rules
from bgp.secret import Secret


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
