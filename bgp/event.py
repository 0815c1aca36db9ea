"""What the speaker tells: immutable facts about sessions and paths.

Made by `speaker.events` (from ExaBGP's lines) and `speaker.process` (about the process);
consumed by `rib` and `session`. Order matters: events of one peer come in the order in which
they happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bgp.nlri import IPAddress, Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId


class Direction(StrEnum):
    """Who sent a message, seen from here."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerStarted:
    """The speaker runs and listens to us; all sessions begin anew."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerExited:
    """The speaker is gone; every session with it. It is started again unless we stopped it."""

    status: int
    """Exit status, or minus the number of the signal that ended it."""
    reason: str
    """In words, e.g. "killed: no sign of life for 4.6 s"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerStopped:
    """The speaker announced its own shutdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigApplied:
    """The speaker loaded the configuration last given to `configure`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected:
    """The speaker refused a configuration and goes on with the one it had: our bug."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The TCP connection stands; OPEN messages follow.

    ExaBGP also says so of a connection that was refused; then SessionDown follows, and no OPEN
    of the peer comes between.
    """

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An OPEN message (RFC 4271 section 4.2)."""

    peer: PeerId
    direction: Direction
    asn: int
    hold_time_s: int
    router_id: str
    families: frozenset[int]
    """IPv4 and IPv6 unicast as in its multiprotocol capability."""
    restart_time_s: int | None
    """Graceful restart time; None when the capability is absent (RFC 4724)."""
    restarting: bool
    """Its Restart State bit: it keeps what we announced before only until our End-of-RIB."""
    restart_families: frozenset[int]
    """Families of its graceful restart capability: those that its restart leaves working."""
    preserved_families: frozenset[int]
    """Those whose forwarding state it says it kept over the restart that just was (F bit)."""
    capabilities: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUp:
    """The session reached Established."""

    peer: PeerId
    local_address: IPAddress | None
    """Our end of the connection: the next hop of what we announce on it.

    None when ExaBGP has lost it (a reload between connection and Established, the address not
    configured); `speaker.process` then asks the kernel.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDown:
    """The session, or an attempt at one that had reached OPEN, ended."""

    peer: PeerId
    reason: str
    """ExaBGP's words; `session` knows better ones from Notified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """A NOTIFICATION (RFC 4271 section 4.5)."""

    peer: PeerId
    direction: Direction
    code: int
    subcode: int
    text: str = ""
    """The shutdown communication (RFC 9003) or what ExaBGP says about it; printable."""


class Change(NamedTuple):
    """What changes with one peer's routes. A prefix is in at most one of the two."""

    attributes: Attributes | None
    """Of everything announced; None if nothing is."""
    announced: Sequence[Prefix] = ()
    withdrawn: Sequence[Prefix] = ()


class Series(NamedTuple):
    """Many announcements of one family and length, each with attributes of its own.

    These differ in the numbers of the AS path only, and share their `Common`.
    """

    attributes: list[Attributes]
    announced: list[Prefix]

    def each(self) -> Iterator[Change]:
        """Give the same as changes of one prefix each."""
        for attributes, prefix in zip(self.attributes, self.announced, strict=True):
            yield Change(attributes, (prefix,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """UPDATEs received, in their order."""

    peer: PeerId
    changes: Sequence[Change | Series]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An UPDATE that has to end the session with this NOTIFICATION (RFC 7606 section 2)."""

    peer: PeerId
    code: int
    subcode: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndOfRib:
    """The peer sent all it had for this family (RFC 4724 section 2)."""

    peer: PeerId
    family: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An UPDATE or End-of-RIB handed to the connection towards the peer."""

    peer: PeerId
    announced: tuple[Prefix, ...] = ()
    withdrawn: tuple[Prefix, ...] = ()
    end_of_rib: int | None = None
    """The family of an End-of-RIB."""
    attributes: Attributes | None = None
    """Of what is announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A ROUTE-REFRESH received (RFC 2918); the speaker answers it by itself."""

    peer: PeerId
    family: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """An answer to the heartbeat; says nothing about any peer."""


PeerEvent = (
    Connected | Opened | SessionUp | SessionDown | Notified | Updated | EndOfRib | Sent | Refreshed
)
Event = (
    SpeakerStarted
    | SpeakerExited
    | SpeakerStopped
    | ConfigApplied
    | ConfigRejected
    | Alive
    | Refused
    | PeerEvent
)
