"""Attributes and Path: what a peer says about a prefix (RFC 4271 section 5).

Attributes are shared by all prefixes of an UPDATE, so they are immutable and compared often.
Only what the decision process, the policy or the operator needs is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from bgp.nlri import IPAddress
from bgp.peer import PeerId

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
class Attributes:
    """Path attributes of one or more prefixes."""

    next_hop: IPAddress
    """As the peer sent it; of an IPv6 pair the one right for the peer (see `speaker.events`).

    Of a peer by interface: its link-local address with the interface as zone."""
    as_path: tuple[int, ...] = ()
    """The sequences, nearest AS first."""
    as_sets: tuple[tuple[int, ...], ...] = ()
    """The AS_SETs apart; each counts as one AS (RFC 4271 section 9.1.2.2 a)."""
    origin: Origin = Origin.IGP
    med: int | None = None
    local_preference: int | None = None
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    standing: Standing | None = field(default=None, compare=False, repr=False)
    """None when it is not known to be that of others."""

    def with_as_path(self, as_path: tuple[int, ...]) -> Attributes:
        """Give the same with another sequence of the same length, and the same standing.

        Only for attributes without MED, which is compared by the first number, and without sets.
        """
        made = object.__new__(Attributes)
        # One for each route of a large table: the constructor takes twice as long.
        _SET_NEXT_HOP(made, self.next_hop)
        _SET_AS_PATH(made, as_path)
        _SET_AS_SETS(made, ())
        _SET_ORIGIN(made, self.origin)
        _SET_MED(made, self.med)
        _SET_LOCAL_PREFERENCE(made, self.local_preference)
        _SET_COMMUNITIES(made, self.communities)
        _SET_LARGE_COMMUNITIES(made, self.large_communities)
        _SET_STANDING(made, self.standing)
        return made

    @property
    def path_length(self) -> int:
        """Length of the AS path for comparison."""
        return len(self.as_path) + len(self.as_sets)

    @property
    def neighboring_asn(self) -> int | None:
        """The AS the path was received from; None for a path that began in our own AS."""
        return self.as_path[0] if self.as_path else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred(Attributes):
    """Attributes whose local preference is the operator's, and so holds for any peer.

    What an external peer sends as LOCAL_PREF means nothing (RFC 4271 section 5.1.5).
    """


# What frozen classes do in their constructors, without the detour of object.__setattr__.
_SET_NEXT_HOP = Attributes.__dict__["next_hop"].__set__
_SET_AS_PATH = Attributes.__dict__["as_path"].__set__
_SET_AS_SETS = Attributes.__dict__["as_sets"].__set__
_SET_ORIGIN = Attributes.__dict__["origin"].__set__
_SET_MED = Attributes.__dict__["med"].__set__
_SET_LOCAL_PREFERENCE = Attributes.__dict__["local_preference"].__set__
_SET_COMMUNITIES = Attributes.__dict__["communities"].__set__
_SET_LARGE_COMMUNITIES = Attributes.__dict__["large_communities"].__set__
_SET_STANDING = Attributes.__dict__["standing"].__set__


class Path(NamedTuple):
    """One accepted way to a prefix."""

    peer: PeerId
    attributes: Attributes
    stale: bool = False
    """Kept over a restart of the peer or of the speaker, not learned again yet (RFC 4724)."""
