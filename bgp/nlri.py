"""Prefix: the one home of the packed form (family, network, length) of an IP prefix.

Hundreds of thousands of these exist, are hashed and compared; an `ipaddress` network object
costs six times as much. Everything else in the project takes `ipaddress` objects, converted
here. Invariant: host bits are zero and the length fits the family.

References: RFC 4271 section 4.3 (NLRI encoding), RFC 4760.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

from bgp.errors import PermanentError

IPV4 = 4
IPV6 = 6
BITS = {IPV4: 32, IPV6: 128}

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address

_HOST_MASKS = {
    family: tuple((1 << (bits - length)) - 1 for length in range(bits + 1))
    for family, bits in BITS.items()
}


class PrefixError(PermanentError, ValueError):
    """Text or numbers that are no prefix; `text` is what was given."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        return f"not a prefix: {self.text!r}: {self.reason}"


class Prefix(NamedTuple):
    """An IP prefix as three integers; sorts by family, then network, then length."""

    family: int
    network: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Prefix:
        """Read `address/length`; an address alone is a host prefix.

        Strict: host bits, zone ids and spaces are refused with PrefixError.
        """
        family, network, length = _read(text)
        if network & _HOST_MASKS[family][length]:
            raise PrefixError(text, "host bits are set")
        return cls(family, network, length)

    @classmethod
    def parse_masked(cls, text: str) -> Prefix:
        """Read like `parse`, but clear host bits: on the wire they mean nothing (RFC 4271 4.3)."""
        family, network, length = _read(text)
        return cls(family, network & ~_HOST_MASKS[family][length], length)

    @classmethod
    def from_network(cls, network: IPNetwork) -> Prefix:
        """Pack an `ipaddress` network."""
        return cls(network.version, int(network.network_address), network.prefixlen)

    @classmethod
    def from_address(cls, address: IPAddress) -> Prefix:
        """Pack an address as its host prefix (/32 or /128)."""
        return cls(address.version, int(address), BITS[address.version])

    def to_network(self) -> IPNetwork:
        """Give the same prefix as an `ipaddress` network."""
        if self.family == IPV4:
            return IPv4Network((self.network, self.length))
        return IPv6Network((self.network, self.length))

    def covers(self, other: Prefix) -> bool:
        """Tell whether every address of `other` is in this prefix (equal counts)."""
        if self.family != other.family or self.length > other.length:
            return False
        shift = BITS[self.family] - self.length
        return self.network >> shift == other.network >> shift

    def overlaps(self, other: Prefix) -> bool:
        """Tell whether one of the two covers the other."""
        return self.covers(other) or other.covers(self)

    def __str__(self) -> str:
        if self.family == IPV4:
            address = inet_ntop(AF_INET, self.network.to_bytes(4, "big"))
        else:
            address = inet_ntop(AF_INET6, self.network.to_bytes(16, "big"))
        return f"{address}/{self.length}"


def _read(text: str) -> tuple[int, int, int]:
    address, slash, length_text = text.partition("/")
    family, domain = (IPV6, AF_INET6) if ":" in address else (IPV4, AF_INET)
    try:
        network = int.from_bytes(inet_pton(domain, address), "big")
    except (OSError, ValueError) as error:
        raise PrefixError(text, "the address is not valid") from error
    if not slash:
        return family, network, BITS[family]
    if not (length_text.isascii() and length_text.isdigit() and len(length_text) <= 3):
        raise PrefixError(text, "the length is not a number")
    length = int(length_text)
    if length > BITS[family]:
        raise PrefixError(text, f"the length is above {BITS[family]}")
    return family, network, length
