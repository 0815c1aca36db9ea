"""ICMP echo requests as packets, and what comes back of them. PURE.

RFC 792 and RFC 4443. `podroute doctor` gives a router a packet for one of our own pods: a router
that knows the way sends it straight back to us, one that does not says that it is unreachable.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address
_ICMP, _ICMPV6 = 1, 58
_REQUEST: Final[Mapping[int, int]] = {4: 8, 6: 128}
_UNREACHABLE: Final[Mapping[int, int]] = {4: 3, 6: 1}
_LEAST: Final[Mapping[int, int]] = {4: 20, 6: 40}
_WORDS: Final[Mapping[tuple[int, int], str]] = {
    (4, 0): "network unreachable",
    (4, 1): "host unreachable",
    (4, 9): "network prohibited",
    (4, 10): "host prohibited",
    (4, 13): "prohibited",
    (6, 0): "no route",
    (6, 1): "prohibited",
    (6, 5): "source address failed policy",
    (6, 6): "reject route",
}
_HEAD: Final = 8
"""Type, code, checksum, and what an echo has for identifier and sequence."""


class Fate(StrEnum):
    """What became of a request."""

    CAME_BACK = "came back"
    """The router has sent it to us: it knows the way."""
    REFUSED = "refused"


def request(source: Address, target: Address, identifier: int, hops: int) -> bytes:
    """Return an IP packet with an echo request; both addresses of one family."""
    version = source.version
    body = bytes((_REQUEST[version], 0, 0, 0)) + identifier.to_bytes(2, "big") + bytes(2)
    if version == 4:
        body = body[:2] + _checksum(body) + body[4:]
        head = b"\x45\0" + (20 + len(body)).to_bytes(2, "big") + bytes(4) + bytes((hops, _ICMP))
        head += bytes(2) + source.packed + target.packed
        return head[:10] + _checksum(head) + head[12:] + body
    length = len(body).to_bytes(2, "big")
    pseudo = source.packed + target.packed + bytes(2) + length + bytes((0, 0, 0, _ICMPV6))
    body = body[:2] + _checksum(pseudo + body) + body[4:]
    head = b"\x60\0\0\0" + length + bytes((_ICMPV6, hops))
    return head + source.packed + target.packed + body


def fate(packet: bytes, identifier: int, target: Address) -> tuple[Fate, str] | None:
    """Read a packet that has arrived; None if it says nothing of this request."""
    version = target.version
    body = _body(packet, version)
    if body is None:
        return None
    if _is_request(packet, version, identifier, target):
        return Fate.CAME_BACK, ""
    if body[0] == _UNREACHABLE[version] and _is_request(
        body[_HEAD:], version, identifier, target, is_cut=True
    ):
        return Fate.REFUSED, _WORDS.get((version, body[1]), f"unreachable ({body[1]})")
    return None


def _is_request(
    packet: bytes, version: int, identifier: int, target: Address, *, is_cut: bool = False
) -> bool:
    body = _body(packet, version, is_cut=is_cut)
    if body is None or body[0] != _REQUEST[version]:
        return False
    at = 16 if version == 4 else 24
    packed = packet[at : at + len(target.packed)]
    return packed == target.packed and body[4:6] == identifier.to_bytes(2, "big")


def _body(packet: bytes, version: int, *, is_cut: bool = False) -> bytes | None:
    """Return the ICMP message; None for what is none. A quoted packet may be cut."""
    if len(packet) < _LEAST[version] or packet[0] >> 4 != version:
        return None
    if version == 4:
        start, kind = (packet[0] & 15) * 4, packet[9]
        is_ours = kind == _ICMP and start >= _LEAST[4]
    else:
        start, is_ours = _LEAST[6], packet[6] == _ICMPV6
    body = packet[start:]
    return body if is_ours and len(body) >= (6 if is_cut else _HEAD) else None


def _checksum(data: bytes) -> bytes:
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
