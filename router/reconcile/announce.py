"""What this node announces now (invariants 6 and 7). PURE."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import NamedTuple

from bgp.nlri import Prefix
from router.model.link import Address, Links


class Announcement(NamedTuple):
    """What to announce, and what waits for which reason."""

    networks: tuple[Prefix, ...]
    waiting: tuple[tuple[Prefix, str], ...]


def announcement(
    *,
    pod_cidrs: Iterable[Prefix],
    node_addresses: Iterable[Address],
    unreachables: Set[Prefix],
    links: Links,
) -> Announcement:
    """Return what works already and may be announced, canonical.

    A pod CIDR needs its `unreachable` route first, else packets to unused addresses loop
    between node and ToR; a node address must stand on a link.
    """
    networks: set[Prefix] = set()
    waiting: list[tuple[Prefix, str]] = []
    for cidr in pod_cidrs:
        if cidr in unreachables:
            networks.add(cidr)
        else:
            waiting.append((cidr, "its unreachable route is not in the kernel yet"))
    for address in node_addresses:
        host = Prefix.from_address(address)
        if links.holds(address):
            networks.add(host)
        else:
            waiting.append((host, "no link of this node has the address"))
    return Announcement(tuple(sorted(networks)), tuple(sorted(waiting)))


def uplinks(peers: Iterable[Address], links: Links) -> tuple[str, ...]:
    """Return the names of the links toward directly connected peers, sorted."""
    found = {link.name for peer in peers if (link := links.toward(peer)) is not None}
    return tuple(sorted(found))


def smallest_mtu(names: Iterable[str], links: Links) -> int:
    """Return the smallest MTU of the named links in bytes, 1500 if there is none."""
    wanted = set(names)
    return min((link.mtu for link in links.all if link.name in wanted), default=1500)
