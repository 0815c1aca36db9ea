"""The path attributes field of an UPDATE, cut into attributes (RFC 4271 section 4.3). PURE."""

from __future__ import annotations

from typing import NamedTuple

from bgp.attribute_kinds import EXTENDED_LENGTH, FLAGS, KIND_OF, MULTIPROTOCOL, OPTIONAL
from bgp.update_error import OPTIONAL_ATTRIBUTE_ERROR, UNRECOGNIZED_WELL_KNOWN, UpdateError


class Raw(NamedTuple):
    """One attribute as it came."""

    kind: int
    value: bytes
    whole: bytes


def split(block: bytes) -> tuple[list[Raw], str]:
    """Cut the path attributes field into the attributes that we know.

    Also gives in words what is wrong, or "": an attribute that reaches beyond the field (RFC 7606
    section 4), flags that contradict the type (section 3 c). Raises UpdateError for what it cannot
    be told of which routes it is (section 3 j), and for an unknown well-known attribute.
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
            reason = f"attribute {kind} is {until - end} octets too long"
            if kind in MULTIPROTOCOL:
                raise UpdateError(OPTIONAL_ATTRIBUTE_ERROR, reason)
            return found, reason
        expected = FLAGS.get(kind)
        if expected is None:
            if not flags & OPTIONAL:
                reason = f"unrecognized well-known attribute {kind}"
                raise UpdateError(UNRECOGNIZED_WELL_KNOWN, reason, block[at:until])
        else:
            if flags & KIND_OF != expected:
                damage = f"attribute {kind} has flags {flags:#04x}"
            found.append(Raw(kind, block[start:until], block[at:until]))
        at = until
    return found, damage


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
