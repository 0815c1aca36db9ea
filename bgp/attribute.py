"""Path attributes from the wire (RFC 4271 section 5, RFC 1997, 6793, 8092), checked. PURE.

RFC 7606 section 7 decides what a damaged attribute means: `DamagedError` (the routes are withdrawn)
or nothing (it is discarded). Only what `Attributes` keeps is decoded; others are checked where
damage to them would change what becomes of the routes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from bgp.attribute_field import Raw
from bgp.attribute_kinds import (
    AS4_PATH,
    AS_PATH,
    AS_SEQUENCE,
    AS_SET,
    ATTR_SET,
    CLUSTER_LIST,
    COMMUNITIES,
    EXTENDED_COMMUNITIES,
    INTERNAL_ONLY,
    IPV6_EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    LOCAL_PREF,
    MED,
    NEXT_HOP,
    ORIGIN,
    ORIGINATOR_ID,
)
from bgp.errors import BgpError
from bgp.nlri import IPAddress
from bgp.path import Attributes, Origin, Standing

_U32: Final = struct.Struct(">I")
_ASNS: Final = {2: "H", 4: "I"}


class DamagedError(BgpError):
    """The routes of the message are to be treated as withdrawn (RFC 7606 section 2)."""


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
    found: list[Raw],
    *,
    asn_size: int,
    internal: bool,
    next_hop: Callable[[bytes], IPAddress],
    reached: bytes,
) -> Attributes:
    """Give the attributes of routes whose next hop is `reached`, or NEXT_HOP if that is empty.

    `asn_size` is 4 when both sides have the capability of RFC 6793, else 2; `internal`, whether the
    peer is. `next_hop` makes an address of its bytes. Raises DamagedError.
    """
    draft = read_each(found, asn_size=asn_size, internal=internal)
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


def read_each(found: list[Raw], *, asn_size: int, internal: bool) -> _Draft:
    """Read every attribute, whichever are there. Raises DamagedError."""
    draft = _Draft(asn_size)
    seen = 0
    for kind, value, _ in found:
        # Of attributes that come twice the first counts (RFC 7606 section 3 g).
        reader = _READERS.get(kind)
        if reader is not None and not seen >> kind & 1:
            seen |= 1 << kind
            if internal or kind not in INTERNAL_ONLY:
                reader(draft, value)
    return draft


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


def _only_in(size: int, name: str) -> Callable[[_Draft, bytes], None]:
    """Return what checks an attribute that is not kept: one or more items of a size."""

    def read(_: _Draft, value: bytes) -> None:
        if not value or len(value) % size:
            raise DamagedError(f"{name} has {len(value)} octets")

    return read


def _originator(_: _Draft, value: bytes) -> None:
    _number(value, "ORIGINATOR_ID")


def _attr_set(_: _Draft, value: bytes) -> None:
    if len(value) < _U32.size:
        raise DamagedError(f"ATTR_SET has {len(value)} octets")


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
    ORIGINATOR_ID: _originator,
    CLUSTER_LIST: _only_in(4, "CLUSTER_LIST"),
    EXTENDED_COMMUNITIES: _only_in(8, "EXTENDED COMMUNITIES"),
    IPV6_EXTENDED_COMMUNITIES: _only_in(20, "IPv6 EXTENDED COMMUNITIES"),
    ATTR_SET: _attr_set,
    AS4_PATH: _as4_path,
    LARGE_COMMUNITIES: _large_communities,
}


def _number(value: bytes, name: str) -> int:
    if len(value) != _U32.size:
        raise DamagedError(f"{name} has {len(value)} octets")
    return int(_U32.unpack(value)[0])


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
