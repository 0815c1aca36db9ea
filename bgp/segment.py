"""Read a TCP segment as it came off the wire, and judge its MD5 signature. PURE.

RFC 9293 section 3.1 and RFC 2385; packets begin with the IP header. A node that gets nothing from
its peer can see by these why: what the kernel drops is on the wire all the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bgp.errors import PermanentError
from bgp.secret import Secret

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10
_TCP: Final = 6
_LEAST_IPV4: Final = 20
_IPV6: Final = 40
_TCP_HEADER: Final = 20
_END, _NOTHING, _MD5 = 0, 1, 19
_DIGEST: Final = 16


class SegmentError(PermanentError, ValueError):
    """No whole TCP segment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What matters of one segment."""

    source: IPv4Address | IPv6Address
    target: IPv4Address | IPv6Address
    source_port: int
    target_port: int
    hop_limit: int
    """TTL or hop limit, as it arrived."""
    flags: int
    digest: bytes | None
    """Of the option MD5 Signature; None without one."""
    payload: bytes = field(repr=False)
    header: bytes = field(repr=False)
    """The first 20 bytes of the TCP header."""
    length: int
    """Of header, options and payload in bytes."""

    @classmethod
    def parse(cls, packet: bytes) -> Segment:
        """Read an IP packet. Raises SegmentError; IPv6 extension headers are not followed."""
        if not packet:
            raise SegmentError("empty")
        version = packet[0] >> 4
        ends: tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]
        if version == 4 and len(packet) >= _LEAST_IPV4:
            start, end = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
            kind, hop_limit = packet[9], packet[8]
            ends = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
        elif version == 6 and len(packet) >= _IPV6:
            start, end = _IPV6, _IPV6 + int.from_bytes(packet[4:6], "big")
            kind, hop_limit = packet[6], packet[7]
            ends = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
        else:
            raise SegmentError("no IP packet")
        tcp = packet[start:end]
        if kind != _TCP or len(tcp) < _TCP_HEADER or end > len(packet):
            raise SegmentError("no whole TCP segment")
        offset = (tcp[12] >> 4) * 4
        if not _TCP_HEADER <= offset <= len(tcp):
            raise SegmentError("its header is longer than the segment")
        return cls(
            source=ends[0],
            target=ends[1],
            source_port=int.from_bytes(tcp[0:2], "big"),
            target_port=int.from_bytes(tcp[2:4], "big"),
            hop_limit=hop_limit,
            flags=tcp[13],
            digest=_digest(tcp[_TCP_HEADER:offset]),
            payload=tcp[offset:],
            header=tcp[:_TCP_HEADER],
            length=len(tcp),
        )

    def is_signed_with(self, password: Secret) -> bool:
        """Tell whether the digest is what this password makes (RFC 2385 section 2)."""
        pseudo = self.source.packed + self.target.packed
        if self.source.version == 4:
            pseudo += bytes((0, _TCP)) + self.length.to_bytes(2, "big")
        else:
            pseudo += self.length.to_bytes(4, "big") + bytes((0, 0, 0, _TCP))
        header = self.header[:16] + b"\0\0" + self.header[18:]
        data = pseudo + header + self.payload + password.reveal()
        return hashlib.md5(data, usedforsecurity=False).digest() == self.digest


def _digest(options: bytes) -> bytes | None:
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOTHING:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            return None
        if options[at] == _MD5 and length == 2 + _DIGEST:
            return options[at + 2 : at + length]
        at += length
    return None
