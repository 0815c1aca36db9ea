"""UPDATEs that differ only in the numbers of AS path and prefix, read without looking at the rest.

Where every node has an AS of its own, a table is one message for each pod CIDR, and nearly every
message looks like the one before: same lengths, same attributes. PURE.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import repeat
from typing import Final, NamedTuple

from bgp.event import Change, Series
from bgp.nlri import BITS, IPV4, Prefix
from bgp.path import Attributes

ORIGIN_FIRST: Final = b"\x40\x01\x01"
AS_PATH_SECOND: Final = b"\x40\x02"
PATH_AT: Final = 9
"""Where the numbers of the first segment begin, in attributes that begin like this."""
AS_0: Final = b"\0\0\0\0"
"""Never an AS number (RFC 7607); found across two numbers it is none."""
_HEADER: Final = struct.Struct(">HB")
_HEADER_BYTES: Final = 19
_LENGTH_AT: Final = 16
_UPDATE: Final = 2
_new = Prefix.__new__
_make = tuple.__new__
_FEW: Final = 16
"""Messages from which on it pays to read them together."""
_MANY: Final = 4096


class Pattern(NamedTuple):
    """A message with one prefix and one AS_SEQUENCE; places are octets from its first."""

    head: bytes
    """From the header's length to the count of the AS path's segment."""
    tail: bytes
    """From behind the AS path to the length of the prefix."""
    path_at: int
    path_end: int
    prefix_at: int
    size: int
    shift: int
    """The prefix's octets, shifted by so many bits and masked with `keep`, are its network."""
    keep: int
    prefix: Prefix
    attributes: Attributes


def pattern_of(body: bytes, block: bytes, prefix: Prefix, attributes: Attributes) -> Pattern | None:
    """Make a pattern of a message whose attributes field is `block`; None if it can be none.

    `body` is the message without its header.
    """
    plain = block[:3] == ORIGIN_FIRST and block[4:6] == AS_PATH_SECOND
    if not plain or len(block) <= PATH_AT or block[6] != 2 + 4 * block[8]:
        return None
    # The decision process would have to compare what differs.
    if attributes.common.standing is None or attributes.common.med is not None:
        return None
    size = _HEADER_BYTES + len(body)
    octets = (prefix.length + 7) >> 3
    path_at = _HEADER_BYTES + 4 + PATH_AT
    path_end, prefix_at = path_at + 4 * block[8], size - octets
    bits = BITS[prefix.family]
    return Pattern(
        head=_HEADER.pack(size, _UPDATE) + body[: path_at - _HEADER_BYTES],
        tail=body[path_end - _HEADER_BYTES : prefix_at - _HEADER_BYTES],
        path_at=path_at,
        path_end=path_end,
        prefix_at=prefix_at,
        size=size,
        shift=bits - 8 * octets,
        keep=(1 << bits) - (1 << (bits - prefix.length)),
        prefix=prefix,
        attributes=attributes,
    )


def read_alike(pattern: Pattern, messages: bytes, at: int, changes: list[Change | Series]) -> int:
    """Read messages that look like the pattern, from the one at `at` on, as long as they do.

    Appends to `changes` and gives where it stopped.
    """
    most = _FEW
    while True:
        count = _count_alike(pattern, messages, at, most)
        series = _series(pattern, messages, at, count) if count >= _FEW else None
        if series is None:
            return _read_one_by_one(pattern, messages, at, changes)
        changes.append(series)
        at += count * pattern.size
        most = min(2 * most, _MANY)


def _count_alike(pattern: Pattern, messages: bytes, at: int, most: int) -> int:
    """Count the messages from `at` on that look like the pattern, up to `most`.

    Octet by octet of the pattern, for all messages at once.
    """
    size = pattern.size
    count = min(most, (len(messages) - at) // size)
    for first, octets in ((_LENGTH_AT, pattern.head), (pattern.path_end, pattern.tail)):
        for place in range(len(octets)):
            start = at + first + place
            column = messages[start : start + count * size : size]
            octet = octets[place : place + 1]
            count = len(column) - len(column.lstrip(octet))
            if count < _FEW:
                return count
    return count


def _series(pattern: Pattern, messages: bytes, at: int, count: int) -> Series | None:
    """Read so many messages that look like the pattern; None where each has to be looked at."""
    size, path_at, prefix_at = pattern.size, at + pattern.path_at, at + pattern.prefix_at
    octets = pattern.size - pattern.prefix_at
    family, _, length = pattern.prefix
    width = pattern.path_end - pattern.path_at
    paths = [messages[i : i + width] for i in range(path_at, path_at + count * size, size)]
    if family != IPV4 or AS_0 in b"".join(paths):
        return None
    packed = bytearray(4 * count)
    for place in range(octets):
        start = prefix_at + place
        packed[place::4] = messages[start : start + count * size : size]
    networks: Iterable[int] = struct.unpack(f">{count}I", packed)
    if length % 8:
        networks = [network & pattern.keep for network in networks]
    different = dict.fromkeys(paths)
    made = map(_make, repeat(Attributes), zip(repeat(pattern.attributes.common), different))
    attributes = dict(zip(different, made, strict=True))
    return Series(
        [attributes[path] for path in paths],
        [_new(Prefix, family, network, length) for network in networks],
    )


def _read_one_by_one(
    pattern: Pattern, messages: bytes, at: int, changes: list[Change | Series]
) -> int:
    head, tail, path_at, path_end, prefix_at, size, shift, keep, prefix, attributes = pattern
    family, _, length = prefix
    packed, end = attributes.packed_path, len(messages)
    while (
        at + size <= end
        and messages[at + path_end : at + prefix_at] == tail
        and messages[at + _LENGTH_AT : at + path_at] == head
    ):
        path = messages[at + path_at : at + path_end]
        if path != packed:
            if AS_0 in path:
                break
            packed, attributes = path, attributes.with_packed_path(path)
        number = int.from_bytes(messages[at + prefix_at : at + size], "big")
        network = number << shift & keep
        changes.append(Change(attributes, [_new(Prefix, family, network, length)], ()))
        at += size
    return at
