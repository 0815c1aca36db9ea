"""Prefixes from the wire: NLRI, withdrawn routes (RFC 4271 section 4.3, RFC 4760 section 5). PURE.

Most fields hold prefixes of one length (pod CIDRs, host routes); those are read without a loop in
Python. Host bits are cleared: on the wire they mean nothing.
"""

from __future__ import annotations

import struct
from typing import Final

from bgp.errors import BgpError
from bgp.nlri import BITS, IPV4, IPV6, Prefix

_LOOP_BELOW_BYTES: Final = 64
"""For a few prefixes the loop is faster than the preparation."""
_HIGH_64: Final = 64
_LENGTH_32: Final = struct.Struct(">I")
_LENGTH_64: Final = struct.Struct(">BQ")
_new = Prefix.__new__


class NlriError(BgpError):
    """A field whose prefixes cannot be told apart ends the session (RFC 7606 section 5.3)."""


def read_prefixes(field: bytes, family: int) -> list[Prefix]:
    """Read a whole field of length-prefixed prefixes. Raises NlriError."""
    if len(field) >= _LOOP_BELOW_BYTES:
        size = ((field[0] + 7) >> 3) + 1
        count, rest = divmod(len(field), size)
        if not rest and field[::size].count(field[0]) == count:
            if family == IPV4 and size == _LENGTH_32.size and field[0]:
                return _short(field)
            if family == IPV6 and size == _LENGTH_64.size and field[0]:
                return _half(field)
    return _any(field, family)


def _short(field: bytes) -> list[Prefix]:
    """Read IPv4 prefixes which all have the same length of 17 to 24."""
    length = field[0]
    mask = (0xFFFFFF << (24 - length)) & 0xFFFFFF
    return [
        _new(Prefix, IPV4, (word & mask) << 8, length) for (word,) in _LENGTH_32.iter_unpack(field)
    ]


def _half(field: bytes) -> list[Prefix]:
    """Read IPv6 prefixes which all have the same length of 57 to 64."""
    length = field[0]
    mask = -1 << (_HIGH_64 - length)
    return [
        _new(Prefix, IPV6, (word & mask) << _HIGH_64, length)
        for _, word in _LENGTH_64.iter_unpack(field)
    ]


def _any(field: bytes, family: int) -> list[Prefix]:
    bits = BITS[family]
    found = []
    at, end = 0, len(field)
    while at < end:
        length = field[at]
        until = at + 1 + ((length + 7) >> 3)
        if length > bits or until > end:
            raise NlriError(f"IPv{family} prefix length {length} at byte {at} of {end}")
        network = int.from_bytes(field[at + 1 : until], "big") << (bits - ((until - at - 1) << 3))
        spare = bits - length
        found.append(_new(Prefix, family, network >> spare << spare, length))
        at = until
    return found
