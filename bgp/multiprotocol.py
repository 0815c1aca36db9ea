"""Routes inside path attributes: MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760, RFC 8950). PURE."""

from __future__ import annotations

from typing import Final

from bgp.attribute_field import Raw
from bgp.attribute_kinds import (
    MP_REACH_NLRI,
    MP_UNREACH_NLRI,
)
from bgp.nlri import IPV4, IPV6, Prefix
from bgp.nlri_wire import NlriError, read_prefixes
from bgp.update_error import (
    INVALID_NETWORK_FIELD,
    MALFORMED_ATTRIBUTE_LIST,
    OPTIONAL_ATTRIBUTE_ERROR,
    UpdateError,
)

_UNICAST: Final = 1
_AFIS: Final = {1: IPV4, 2: IPV6}
_HOP_SIZES: Final = {IPV4: (4, 16, 32), IPV6: (16, 32)}


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
