"""Pack and unpack rtnetlink messages: the small, fast counterpart of pyroute2's encoder.

PURE: bytes in, bytes out; no sockets. Only the few messages on a hot path are built
from here (pod links, routes, nexthop objects), because pyroute2's request layer costs
70 to 100 times the kernel's own work per message (design D3).

A message is a `bytes` with sequence number 0 and without NLM_F_ACK: `Channel` fills in
both. Layouts: include/uapi/linux/netlink.h (struct nlmsghdr, struct nlattr).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

NLM_F_REQUEST: Final = 0x001
NLM_F_MULTI: Final = 0x002
NLM_F_ACK: Final = 0x004
NLM_F_DUMP_INTR: Final = 0x010
NLM_F_DUMP: Final = 0x300
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800

NLMSG_NOOP: Final = 1
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

NLA_F_NESTED: Final = 0x8000
NLA_TYPE_MASK: Final = 0x3FFF

HEADER: Final = struct.Struct("=IHHII")
"""nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq, nlmsg_pid."""
HEADER_SEQ_OFFSET: Final = 8
HEADER_FLAGS_OFFSET: Final = 6

_ATTRIBUTE: Final = struct.Struct("=HH")
_U8: Final = struct.Struct("=B")
_U32: Final = struct.Struct("=I")
_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + _PADDING[length & 3]


def u8(kind: int, value: int) -> bytes:
    """Return an attribute holding one byte."""
    return attribute(kind, _U8.pack(value))


def u32(kind: int, value: int) -> bytes:
    """Return an attribute holding a 32-bit number in host order."""
    return attribute(kind, _U32.pack(value))


def text(kind: int, value: str) -> bytes:
    """Return an attribute holding a NUL-terminated string (interface names, link kinds)."""
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    """Return an attribute that holds attributes, marked NLA_F_NESTED."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def message(kind: int, flags: int, body: bytes, *attributes: bytes) -> bytes:
    """Return a request of `kind` (RTM_*): header, family header `body`, attributes.

    NLM_F_REQUEST is always set; NLM_F_ACK and the sequence number are the channel's.
    """
    payload = body + b"".join(attributes)
    return HEADER.pack(16 + len(payload), kind, flags | NLM_F_REQUEST, 0, 0) + payload


def messages(buffer: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (type, flags, sequence number, payload) for each message in a datagram.

    Raises ValueError on a length that does not fit, which no kernel sends.
    """
    offset = 0
    while offset + 16 <= len(buffer):
        length, kind, flags, sequence, _ = HEADER.unpack_from(buffer, offset)
        if length < 16 or offset + length > len(buffer):
            raise ValueError(f"netlink message length {length} at byte {offset} of {len(buffer)}")
        yield kind, flags, sequence, buffer[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def attributes(payload: bytes, offset: int) -> dict[int, bytes]:
    """Return the attributes that start at `offset`, by type without flag bits; the last wins."""
    found: dict[int, bytes] = {}
    end = len(payload)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < 4 or offset + length > end:
            raise ValueError(f"netlink attribute length {length} at byte {offset} of {end}")
        found[kind & NLA_TYPE_MASK] = payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def get_u32(payload: bytes) -> int:
    """Return the 32-bit host-order number an attribute holds."""
    value: int = _U32.unpack_from(payload)[0]
    return value


def get_text(payload: bytes) -> str:
    """Return the string an attribute holds, without its NUL."""
    return payload.rstrip(b"\0").decode(errors="replace")
