"""Attributes and Path: what a peer says about a prefix (RFC 4271 section 5).

Attributes are shared by all prefixes of an UPDATE, so they are immutable and compared often.
Only what the decision process, the policy or the operator needs is kept.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, NamedTuple, Self

from bgp.nlri import IPAddress
from bgp.peer_id import PeerId

DEFAULT_LOCAL_PREFERENCE = 100
GRACEFUL_SHUTDOWN = (65535, 0)
"""Well-known community of RFC 8326: the sender is about to go away."""


class Origin(IntEnum):
    """ORIGIN with its wire values, lower is preferred (RFC 4271 sections 4.3 and 9.1.2.2)."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2


class Standing:
    """A token: attributes of one peer with the same one are equal to the decision process.

    They also have the same next hop. It spares deciding a hundred thousand times what differs
    only in the numbers of the AS path.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What attributes say beside the sequences of the AS path: often the same for a whole table."""

    next_hop: IPAddress
    """As the peer sent it; of an IPv6 pair the one right for the peer (see `speaker.events`).

    Of a peer by interface: its link-local address with the interface as zone."""
    as_sets: tuple[tuple[int, ...], ...] = ()
    """The AS_SETs apart; each counts as one AS (RFC 4271 section 9.1.2.2 a)."""
    origin: Origin = Origin.IGP
    med: int | None = None
    local_preference: int | None = None
    is_preferred: bool = False
    """The preference is an import filter's: it counts for a path from an eBGP peer, too."""
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    standing: Standing | None = field(default=None, compare=False, repr=False)
    """None when it is not known to be that of others."""


class _Parts(NamedTuple):
    common: Common
    packed_path: bytes
    """The sequences, four octets for each AS, nearest first."""


class Attributes(_Parts):
    """Path attributes of one or more prefixes; arguments are those of `Common`, and `as_path`.

    Two parts, and the path as it was sent: a table with an AS path for each route has a hundred
    thousand of these, which take half the memory and a third of the time so.
    """

    __slots__ = ()

    def __new__(cls, *, as_path: tuple[int, ...] = (), **common: Any) -> Self:
        """Raises struct.error for an AS number beyond four octets."""
        packed = struct.pack(f">{len(as_path)}I", *as_path)
        return tuple.__new__(cls, (Common(**common), packed))

    def with_packed_path(self, packed: bytes) -> Attributes:
        """Give the same with another sequence of the same length, and the same standing.

        Only for attributes without MED, which is compared by the first number, and without sets.
        """
        return tuple.__new__(Attributes, (self.common, packed))

    def changed(self, **changes: Any) -> Attributes:
        """Give the same with other values of `Common`'s fields, and a standing of its own."""
        common = replace(self.common, **({"standing": None} | changes))
        return tuple.__new__(Attributes, (common, self.packed_path))

    @property
    def as_path(self) -> tuple[int, ...]:
        """The sequences, nearest AS first."""
        return struct.unpack(f">{len(self.packed_path) >> 2}I", self.packed_path)

    @property
    def next_hop(self) -> IPAddress:
        """See `Common`."""
        return self.common.next_hop

    @property
    def as_sets(self) -> tuple[tuple[int, ...], ...]:
        """See `Common`."""
        return self.common.as_sets

    @property
    def origin(self) -> Origin:
        """See `Common`."""
        return self.common.origin

    @property
    def med(self) -> int | None:
        """See `Common`."""
        return self.common.med

    @property
    def local_preference(self) -> int | None:
        """See `Common`."""
        return self.common.local_preference

    @property
    def communities(self) -> tuple[tuple[int, int], ...]:
        """See `Common`."""
        return self.common.communities

    @property
    def large_communities(self) -> tuple[tuple[int, int, int], ...]:
        """See `Common`."""
        return self.common.large_communities

    @property
    def path_length(self) -> int:
        """Length of the AS path for comparison."""
        return (len(self.packed_path) >> 2) + len(self.common.as_sets)

    @property
    def neighboring_asn(self) -> int | None:
        """The AS the path was received from; None for a path that began in our own AS."""
        return self.as_path[0] if self.packed_path else None


class Path(NamedTuple):
    """One accepted way to a prefix."""

    peer: PeerId
    attributes: Attributes
    stale: bool = False
    """Kept over a restart of the peer or of the speaker, not learned again yet (RFC 4724)."""
