"""frame: UPDATEs as they came, between the lines of text on the way to the agent. PURE.

An octet 0x01 (lines begin otherwise), a 32-bit length of what follows it, flags, the length of the
peer's address, the address as text (after a link-local one a space and our own), then whole BGP
messages.
"""

from __future__ import annotations

import struct

FRAME = 1
HEADER = struct.Struct(">BIBB")
AFTER_LENGTH = 5
"""What comes before the part that the length counts."""
FOUR_OCTET_ASNS = 1
INTERNAL = 8
FAMILY_FLAGS = {4: 2, 6: 4}
"""Flags: what the session negotiated."""


def pack(
    peer: str,
    messages: bytes,
    *,
    families: set[int],
    four_octet_asns: bool,
    internal: bool = False,
) -> bytes:
    """Give the frame for whole messages of a session; `internal`: the peer is in our own AS."""
    flags = (FOUR_OCTET_ASNS if four_octet_asns else 0) | (INTERNAL if internal else 0)
    for family in families:
        flags |= FAMILY_FLAGS[family]
    address = peer.encode("ascii")
    length = HEADER.size - AFTER_LENGTH + len(address) + len(messages)
    return HEADER.pack(FRAME, length, flags, len(address)) + address + messages
