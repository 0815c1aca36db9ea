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

    ``family`` is 4 or 6; ``size`` the number of usable addresses; ``name`` for messages;
    ``reserved`` how many the operator keeps back.
    """

    family: int
    name: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    size: int
    reserved: int = 0

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
    usable -= _set_of(family, reserved)
    return _pool(family, ", ".join(map(str, own)) or f"IPv{family}", usable)


def narrow_pool(
    pool: Pool, within: Iterable[Network] = (), without: Iterable[Network] = ()
) -> Pool:
    """Return the part of a pool inside ``within`` (all of it if none is named), less ``without``.

    Entries of the other family are ignored.
    """
    bounds = [network for network in within if network.version == pool.family]
    usable = IPSet()
    for first, last in zip(pool.starts, pool.ends, strict=True):
        usable |= IPSet(
            IPRange(str(to_address(pool.family, first)), str(to_address(pool.family, last)))
        )
    if bounds:
        usable &= _set_of(pool.family, bounds)
    return _pool(
        pool.family,
        ", ".join(map(str, bounds)) or pool.name,
        usable - _set_of(pool.family, without),
        before=usable.size,
    )


def _pool(family: int, name: str, usable: IPSet, *, before: int | None = None) -> Pool:
    ranges = [(int(block.first), int(block.last)) for block in usable.iter_ipranges()]
    size = sum(last - first + 1 for first, last in ranges)
    return Pool(
        family=family,
        name=name,
        starts=tuple(first for first, _ in ranges),
        ends=tuple(last for _, last in ranges),
        size=size,
        reserved=0 if before is None else before - size,
    )


def _set_of(family: int, entries: Iterable[Network | Address]) -> IPSet:
    return IPSet(IPNetwork(str(entry)) for entry in entries if entry.version == family)


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
