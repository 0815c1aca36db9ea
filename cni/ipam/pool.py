"""The usable addresses of one family: pod CIDRs minus what pods must not get. PURE.

Of a routed /32 every address of a CIDR would do; which ones we leave out, and why, is ADR 0020.
netaddr does the set algebra; plain integers leave this module.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from netaddr import IPNetwork, IPRange, IPSet

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_BITS: Final = {4: 32, 6: 128}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Disjoint, ascending, inclusive ranges of usable addresses.

    ``family`` is 4 or 6; ``size`` the number of usable addresses; ``name`` for messages.
    """

    family: int
    name: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    size: int

    def __contains__(self, number: int) -> bool:
        """Return whether the address with this number is usable."""
        place = bisect_right(self.starts, number) - 1
        return place >= 0 and number <= self.ends[place]

    def after(self, number: int) -> Iterator[int]:
        """Yield every usable address once, from the one after ``number`` on, wrapping around."""
        place = bisect_right(self.starts, number) - 1
        if place >= 0 and number < self.ends[place]:
            yield from range(number + 1, self.ends[place] + 1)
        for other in range(place + 1, len(self.starts)):
            yield from range(self.starts[other], self.ends[other] + 1)
        for other in range(max(place, 0)):
            yield from range(self.starts[other], self.ends[other] + 1)
        if place >= 0:
            yield from range(self.starts[place], min(number, self.ends[place]) + 1)


def make_pool(
    family: int, cidrs: Iterable[Network], reserved: Iterable[Network | Address] = ()
) -> Pool:
    """Return the pool of the CIDRs of ``family``; entries of the other family are ignored.

    ``reserved`` are networks or addresses that no pod gets. Overlapping CIDRs count once.
    """
    own = [cidr for cidr in cidrs if cidr.version == family]
    usable = IPSet()
    for cidr in own:
        usable |= IPSet(_usable_range(cidr))
    usable -= IPSet(IPNetwork(str(entry)) for entry in reserved if entry.version == family)
    ranges = [(int(block.first), int(block.last)) for block in usable.iter_ipranges()]
    return Pool(
        family=family,
        name=", ".join(map(str, own)) or f"IPv{family}",
        starts=tuple(first for first, _ in ranges),
        ends=tuple(last for _, last in ranges),
        size=sum(last - first + 1 for first, last in ranges),
    )


def to_address(family: int, number: int) -> Address:
    """Return the address object of a number out of a pool."""
    return IPv4Address(number) if family == 4 else IPv6Address(number)


def _usable_range(cidr: Network) -> Iterable[IPNetwork]:
    """Return the CIDR without its first address, and for IPv4 without its last (ADR 0020)."""
    host_bits = _BITS[cidr.version] - cidr.prefixlen
    if host_bits < 2:
        return (IPNetwork(str(cidr)),)
    last = cidr[-2] if cidr.version == 4 else cidr[-1]
    blocks: list[IPNetwork] = IPRange(str(cidr[1]), str(last)).cidrs()
    return blocks
