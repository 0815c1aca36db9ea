"""The path attributes that we know: numbers and flags (RFC 4271 section 4.3, IANA). PURE."""

from __future__ import annotations

from typing import Final

ORIGIN: Final = 1
AS_PATH: Final = 2
NEXT_HOP: Final = 3
MED: Final = 4
LOCAL_PREF: Final = 5
ATOMIC_AGGREGATE: Final = 6
AGGREGATOR: Final = 7
COMMUNITIES: Final = 8
ORIGINATOR_ID: Final = 9
CLUSTER_LIST: Final = 10
MP_REACH_NLRI: Final = 14
MP_UNREACH_NLRI: Final = 15
MULTIPROTOCOL: Final = (MP_REACH_NLRI, MP_UNREACH_NLRI)
"""Those with routes in them."""
EXTENDED_COMMUNITIES: Final = 16
AS4_PATH: Final = 17
IPV6_EXTENDED_COMMUNITIES: Final = 25
LARGE_COMMUNITIES: Final = 32
ATTR_SET: Final = 128

OPTIONAL: Final = 0x80
EXTENDED_LENGTH: Final = 0x10
_WELL_KNOWN: Final = 0x40
_TRANSITIVE: Final = 0xC0
KIND_OF: Final = 0xC0
FLAGS: Final = {
    ORIGIN: _WELL_KNOWN,
    AS_PATH: _WELL_KNOWN,
    NEXT_HOP: _WELL_KNOWN,
    MED: OPTIONAL,
    LOCAL_PREF: _WELL_KNOWN,
    ATOMIC_AGGREGATE: _WELL_KNOWN,
    AGGREGATOR: _TRANSITIVE,
    COMMUNITIES: _TRANSITIVE,
    ORIGINATOR_ID: OPTIONAL,
    CLUSTER_LIST: OPTIONAL,
    MP_REACH_NLRI: OPTIONAL,
    MP_UNREACH_NLRI: OPTIONAL,
    EXTENDED_COMMUNITIES: _TRANSITIVE,
    AS4_PATH: _TRANSITIVE,
    IPV6_EXTENDED_COMMUNITIES: _TRANSITIVE,
    LARGE_COMMUNITIES: _TRANSITIVE,
    ATTR_SET: _TRANSITIVE,
}
"""Optional and Transitive bits of each attribute that we know."""

AS_SET: Final = 1
AS_SEQUENCE: Final = 2
"""Segments of AS_PATH; those of confederations never come from outside one (RFC 5065)."""

INTERNAL_ONLY: Final = frozenset({LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST})
"""Discarded unread when an external peer sends them (RFC 7606 sections 7.5, 7.9, 7.10)."""
