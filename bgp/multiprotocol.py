"""Routes inside path attributes: MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 8950). PURE.

And what ends a session because it cannot be told which routes are meant: `UpdateError`.
"""

from __future__ import annotations

from typing import Final

from bgp.attribute import Raw
from bgp.attribute_kinds import EXTENDED_LENGTH, MP_REACH_NLRI, MP_UNREACH_NLRI
from bgp.errors import BgpError
from bgp.nlri import IPV4, IPV6, Prefix
from bgp.nlri_wire import NlriError, read_prefixes

UPDATE_ERROR: Final = 3
MALFORMED_ATTRIBUTE_LIST: Final = 1
UNRECOGNIZED_WELL_KNOWN: Final = 2
OPTIONAL_ATTRIBUTE_ERROR: Final = 9
INVALID_NETWORK_FIELD: Final = 10
MULTIPROTOCOL: Final = (MP_REACH_NLRI, MP_UNREACH_NLRI)

_UNICAST: Final = 1
_AFIS: Final = {1: IPV4, 2: IPV6}
_HOP_SIZES: Final = {IPV4: (4, 16, 32), IPV6: (16, 32)}


class UpdateError(BgpError):
    """The session has to end, with NOTIFICATION code 3 and this subcode."""

    def __init__(self, subcode: int, reason: str, data: bytes = b"") -> None:
        super().__init__(subcode, reason)
        self.subcode = subcode
        self.reason = reason
        self.data = data

    def __str__(self) -> str:
        return self.reason


def has_routes(block: bytes) -> bool:
    """Tell whether the block has an attribute with routes in it."""
    at, end = 0, len(block)
    while at + 3 <= end:
        if block[at + 1] in MULTIPROTOCOL:
            return True
        if not block[at] & EXTENDED_LENGTH:
            at += 3 + block[at + 2]
        elif at + 3 < end:
            at += 4 + (block[at + 2] << 8 | block[at + 3])
        else:
            return False
    return False


def unreached(found: list[Raw]) -> tuple[int | None, list[Prefix]]:
    """Read MP_UNREACH_NLRI: its family if it is one of ours, and what is withdrawn."""
    value = _only(found, MP_UNREACH_NLRI)
    if value is None:
        return None, []
    if len(value) < 3:
        raise UpdateError(OPTIONAL_ATTRIBUTE_ERROR, "MP_UNREACH_NLRI is cut off")
    family = _AFIS.get(value[0] << 8 | value[1]) if value[2] == _UNICAST else None
    if family is None:
        return None, []
    return family, prefixes(value[3:], family, OPTIONAL_ATTRIBUTE_ERROR)


def reached(found: list[Raw]) -> tuple[int | None, bytes, list[Prefix]]:
    """Read MP_REACH_NLRI: family, next hop (one address, or a pair) and what is announced."""
    value = _only(found, MP_REACH_NLRI)
    if value is None:
        return None, b"", []
    start = 4 + value[3] + 1 if len(value) > 4 else 0
    if not 0 < start <= len(value):
        raise UpdateError(OPTIONAL_ATTRIBUTE_ERROR, "MP_REACH_NLRI is cut off")
    family = _AFIS.get(value[0] << 8 | value[1]) if value[2] == _UNICAST else None
    if family is None:
        return None, b"", []
    hop = value[4 : start - 1]
    if len(hop) not in _HOP_SIZES[family]:
        # The routes cannot be trusted to begin where they seem to (RFC 7606 section 7.11).
        raise UpdateError(OPTIONAL_ATTRIBUTE_ERROR, f"next hop of {len(hop)} octets")
    return family, hop, prefixes(value[start:], family, OPTIONAL_ATTRIBUTE_ERROR)


def _only(found: list[Raw], kind: int) -> bytes | None:
    values = [raw.value for raw in found if raw.kind == kind]
    if len(values) > 1:
        raise UpdateError(MALFORMED_ATTRIBUTE_LIST, f"attribute {kind} is there twice")
    return values[0] if values else None


def prefixes(field: bytes, family: int, subcode: int = INVALID_NETWORK_FIELD) -> list[Prefix]:
    """Read a field of prefixes. Raises UpdateError with the subcode."""
    try:
        return read_prefixes(field, family)
    except NlriError as error:
        raise UpdateError(subcode, str(error)) from None
