"""Path attributes from the wire (RFC 4271 section 5, RFC 1997, 6793, 8092), checked. PURE.

RFC 7606 section 7 decides what a damaged attribute means: `DamagedError` (the routes are withdrawn)
or nothing (the attribute is discarded). Only what `Attributes` keeps is decoded; attributes that
are known but not kept are checked where damage to them would change what becomes of the routes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from bgp.errors import BgpError
from bgp.nlri import IPAddress
from bgp.path import Attributes, Origin, Standing

ORIGIN: Final = 1
AS_PATH: Final = 2
NEXT_HOP: Final = 3
MED: Final = 4
LOCAL_PREF: Final = 5
ATOMIC_AGGREGATE: Final = 6
AGGREGATOR: Final = 7
COMMUNITIES: Final = 8
MP_REACH_NLRI: Final = 14
MP_UNREACH_NLRI: Final = 15
EXTENDED_COMMUNITIES: Final = 16
AS4_PATH: Final = 17
LARGE_COMMUNITIES: Final = 32

_OPTIONAL: Final = 0x80
EXTENDED_LENGTH: Final = 0x10
_WELL_KNOWN: Final = 0x40
_TRANSITIVE: Final = 0xC0
_KIND_OF: Final = 0xC0
FLAGS: Final = {
    ORIGIN: _WELL_KNOWN,
    AS_PATH: _WELL_KNOWN,
    NEXT_HOP: _WELL_KNOWN,
    MED: _OPTIONAL,
    LOCAL_PREF: _WELL_KNOWN,
    ATOMIC_AGGREGATE: _WELL_KNOWN,
    AGGREGATOR: _TRANSITIVE,
    COMMUNITIES: _TRANSITIVE,
    MP_REACH_NLRI: _OPTIONAL,
    MP_UNREACH_NLRI: _OPTIONAL,
    EXTENDED_COMMUNITIES: _TRANSITIVE,
    AS4_PATH: _TRANSITIVE,
    LARGE_COMMUNITIES: _TRANSITIVE,
}
"""Optional and Transitive bits of each attribute that we know."""

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
_U32: Final = struct.Struct(">I")
_ASNS: Final = {2: "H", 4: "I"}


class DamagedError(BgpError):
    """The routes of the message are to be treated as withdrawn (RFC 7606 section 2)."""


class UnrecognizedError(BgpError):
    """A well-known attribute that we do not know: the session ends (RFC 4271 section 6.3)."""

    def __init__(self, attribute: bytes) -> None:
        super().__init__(attribute)
        self.attribute = attribute

    def __str__(self) -> str:
        return f"unrecognized well-known attribute {self.attribute[1]}"


class Raw(NamedTuple):
    """One attribute as it came."""

    kind: int
    value: bytes
    whole: bytes


def split(block: bytes) -> tuple[list[Raw], str]:
    """Cut the path attributes field into the attributes that we know.

    Also gives in words what is wrong, or "": an attribute that reaches beyond the field (RFC 7606
    section 4), flags that contradict the type (section 3 c). Raises UnrecognizedError.
    """
    found: list[Raw] = []
    damage = ""
    at, end = 0, len(block)
    while at < end:
        start = at + (4 if block[at] & EXTENDED_LENGTH else 3)
        if start > end:
            return found, "attribute header is cut off"
        flags, kind = block[at], block[at + 1]
        length = block[at + 2]
        if flags & EXTENDED_LENGTH:
            length = length << 8 | block[at + 3]
        until = start + length
        if until > end:
            return found, f"attribute {kind} is {until - end} octets too long"
        expected = FLAGS.get(kind)
        if expected is None:
            if not flags & _OPTIONAL:
                raise UnrecognizedError(block[at:until])
        else:
            if flags & _KIND_OF != expected:
                damage = f"attribute {kind} has flags {flags:#04x}"
            found.append(Raw(kind, block[start:until], block[at:until]))
        at = until
    return found, damage


class _Draft:
    """Attributes while they are read."""

    __slots__ = (
        "as4_path",
        "as_path",
        "as_sets",
        "asn_size",
        "communities",
        "large_communities",
        "local_preference",
        "med",
        "next_hop",
        "origin",
    )

    def __init__(self, asn_size: int) -> None:
        self.asn_size = asn_size
        self.origin: Origin | None = None
        self.as_path: tuple[int, ...] | None = None
        self.as_sets: tuple[tuple[int, ...], ...] = ()
        self.as4_path: bytes | None = None
        self.next_hop: bytes | None = None
        self.med: int | None = None
        self.local_preference: int | None = None
        self.communities: tuple[tuple[int, int], ...] = ()
        self.large_communities: tuple[tuple[int, int, int], ...] = ()


def decode(
    found: list[Raw], *, asn_size: int, next_hop: Callable[[bytes], IPAddress], reached: bytes
) -> Attributes:
    """Give the attributes of routes whose next hop is `reached`, or NEXT_HOP if that is empty.

    `asn_size` is 4 when both sides have the capability of RFC 6793, else 2. `next_hop` makes an
    address of its bytes. Raises DamagedError.
    """
    draft = _Draft(asn_size)
    seen = 0
    for kind, value, _ in found:
        # Of attributes that come twice the first counts (RFC 7606 section 3 g).
        reader = _READERS.get(kind)
        if reader is not None and not seen >> kind & 1:
            seen |= 1 << kind
            reader(draft, value)
    if draft.as4_path is not None and asn_size == 2:
        _merge(draft, draft.as4_path)
    hop = reached or draft.next_hop
    if draft.origin is None or draft.as_path is None or hop is None:
        missing = "ORIGIN" if draft.origin is None else "AS_PATH" if hop else "NEXT_HOP"
        raise DamagedError(f"{missing} is missing")
    return Attributes(
        next_hop=next_hop(hop),
        as_path=draft.as_path,
        as_sets=draft.as_sets,
        origin=draft.origin,
        med=draft.med,
        local_preference=draft.local_preference,
        communities=draft.communities,
        large_communities=draft.large_communities,
        standing=Standing(),
    )


_ORIGINS: Final = {bytes([origin]): origin for origin in Origin}


def _origin(draft: _Draft, value: bytes) -> None:
    draft.origin = _ORIGINS.get(value)
    if draft.origin is None:
        raise DamagedError(f"ORIGIN is {value[:8].hex()}")


def _as_path(draft: _Draft, value: bytes) -> None:
    draft.as_path, draft.as_sets = read_as_path(value, draft.asn_size)


def _next_hop(draft: _Draft, value: bytes) -> None:
    if len(value) != 4:
        raise DamagedError(f"NEXT_HOP has {len(value)} octets")
    draft.next_hop = value


def _med(draft: _Draft, value: bytes) -> None:
    draft.med = _number(value, "MULTI_EXIT_DISC")


def _local_pref(draft: _Draft, value: bytes) -> None:
    draft.local_preference = _number(value, "LOCAL_PREF")


def _communities(draft: _Draft, value: bytes) -> None:
    if not value or len(value) % 4:
        raise DamagedError(f"COMMUNITIES has {len(value)} octets")
    draft.communities = tuple(struct.iter_unpack(">HH", value))


def _extended_communities(_: _Draft, value: bytes) -> None:
    if not value or len(value) % 8:
        raise DamagedError(f"EXTENDED COMMUNITIES has {len(value)} octets")


def _large_communities(draft: _Draft, value: bytes) -> None:
    if not value or len(value) % 12:
        raise DamagedError(f"LARGE_COMMUNITY has {len(value)} octets")
    draft.large_communities = tuple(struct.iter_unpack(">III", value))


def _as4_path(draft: _Draft, value: bytes) -> None:
    draft.as4_path = value


_READERS: Final[dict[int, Callable[[_Draft, bytes], None]]] = {
    ORIGIN: _origin,
    AS_PATH: _as_path,
    NEXT_HOP: _next_hop,
    MED: _med,
    LOCAL_PREF: _local_pref,
    COMMUNITIES: _communities,
    EXTENDED_COMMUNITIES: _extended_communities,
    AS4_PATH: _as4_path,
    LARGE_COMMUNITIES: _large_communities,
}


def _number(value: bytes, name: str) -> int:
    if len(value) != _U32.size:
        raise DamagedError(f"{name} has {len(value)} octets")
    number: int = _U32.unpack(value)[0]
    return number


def read_as_path(
    value: bytes, asn_size: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Give the sequences as one, and the sets. Raises DamagedError (RFC 7606 section 7.2)."""
    path: tuple[int, ...] = ()
    sets: list[tuple[int, ...]] = []
    at, end = 0, len(value)
    while at < end:
        if at + 2 > end or not value[at + 1]:
            raise DamagedError("AS_PATH segment is empty or cut off")
        kind, count = value[at], value[at + 1]
        until = at + 2 + count * asn_size
        if until > end:
            raise DamagedError("AS_PATH segment is cut off")
        numbers: tuple[int, ...] = struct.unpack(
            f">{count}{_ASNS[asn_size]}", value[at + 2 : until]
        )
        if kind == AS_SEQUENCE:
            path = path + numbers if path else numbers
        elif kind == AS_SET:
            sets.append(tuple(sorted(numbers)))
        else:
            # Segments of a confederation do not leave it (RFC 5065 section 5).
            raise DamagedError(f"AS_PATH segment of type {kind}")
        if 0 in numbers:
            raise DamagedError("AS 0 in AS_PATH")  # RFC 7607 section 2
        at = until
    return path, tuple(sets)


def _merge(draft: _Draft, value: bytes) -> None:
    """Put the numbers of AS4_PATH in place of the last ones of AS_PATH (RFC 6793 section 4.2.3)."""
    try:
        new, new_sets = read_as_path(value, 4)
    except DamagedError:
        return  # section 6: discard it
    old = draft.as_path
    if old is None or len(new) + len(new_sets) > len(old) + len(draft.as_sets):
        return
    draft.as_path = old[: max(0, len(old) - len(new))] + new
    draft.as_sets = new_sets or draft.as_sets
