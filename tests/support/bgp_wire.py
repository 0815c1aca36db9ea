"""BGP messages as bytes, for tests and benches: what a peer would send (RFC 4271, 4760, 7606)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from bgp.nlri import BITS, Prefix

MARKER = b"\xff" * 16
OPEN, UPDATE, NOTIFICATION, KEEPALIVE = 1, 2, 3, 4
END_OF_RIB = {4: bytes(4), 6: bytes.fromhex("00000006800f03000201")}
IGP = bytes.fromhex("40010100")


def message(kind: int, body: bytes = b"") -> bytes:
    """Return a message with its header."""
    return MARKER + struct.pack(">HB", 19 + len(body), kind) + body


def attribute(flags: int, kind: int, value: bytes) -> bytes:
    """Return one path attribute; the extended length bit is set when it is needed."""
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, kind, len(value)) + value
    return bytes((flags, kind, len(value))) + value


def as_path(*asns: int) -> bytes:
    """Return AS_PATH with one sequence of four-octet numbers."""
    return attribute(0x40, 2, bytes((2, len(asns))) + struct.pack(f">{len(asns)}I", *asns))


def next_hop(address: str) -> bytes:
    """Return NEXT_HOP."""
    return attribute(0x40, 3, ip_address(address).packed)


def nlri(prefixes: Iterable[Prefix]) -> bytes:
    """Return prefixes as they stand in NLRI."""
    parts = []
    for family, network, length in prefixes:
        packed = network.to_bytes(BITS[family] // 8, "big")
        parts.append(bytes((length,)) + packed[: (length + 7) // 8])
    return b"".join(parts)


def body(withdrawn: bytes = b"", attributes: bytes = b"", announced: bytes = b"") -> bytes:
    """Return the body of an UPDATE."""
    parts = (struct.pack(">H", len(withdrawn)), withdrawn, struct.pack(">H", len(attributes)))
    return b"".join((*parts, attributes, announced))


def announcement(prefixes: Sequence[Prefix], hop: str, *asns: int) -> bytes:
    """Return the body that announces prefixes of one family, IPv6 with MP_REACH_NLRI."""
    shared = IGP + as_path(*asns)
    if prefixes[0].family == 4:
        return body(b"", shared + next_hop(hop), nlri(prefixes))
    packed = ip_address(hop).packed
    reach = b"\0\2\1" + bytes((len(packed),)) + packed + b"\0" + nlri(prefixes)
    return body(b"", attribute(0x80, 14, reach) + shared)


def withdrawal(prefixes: Sequence[Prefix]) -> bytes:
    """Return the body that withdraws prefixes of one family."""
    if prefixes[0].family == 4:
        return body(nlri(prefixes))
    return body(b"", attribute(0x80, 15, b"\0\2\1" + nlri(prefixes)))
