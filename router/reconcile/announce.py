"""What this node announces now (invariants 6 and 7). PURE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from types import MappingProxyType
from typing import Final, NamedTuple

from bgp.nlri import IPV6, Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from router.model.link import Address, Links


class Announcement(NamedTuple):
    """What to announce, and what waits for which reason."""

    networks: tuple[Prefix, ...]
    waiting: tuple[tuple[Prefix, str], ...]


class Contested(NamedTuple):
    """What pod CIDRs that another node has, too, change about the announcement."""

    withheld: Mapping[Prefix, str] = MappingProxyType({})
    """Those that must wait, and why; '' if that is no matter by itself."""
    halves: Set[Prefix] = frozenset()
    """Parts of others that are announced besides."""


UNCONTESTED: Final = Contested()


def announcement(  # noqa: PLR0913 - all that is announced, by name
    *,
    pod_cidrs: Iterable[Prefix],
    node_addresses: Iterable[Address],
    unreachables: Set[Prefix],
    links: Links,
    services: Set[Prefix] = frozenset(),
    contested: Contested = UNCONTESTED,
    extra: Iterable[Prefix] = (),
) -> Announcement:
    """Return what works already and may be announced, canonical.

    A pod CIDR needs its `unreachable` route first, else packets to unused addresses loop
    between node and ToR; a node address must stand on a link, and an extra prefix lie in the
    network of one: then the node answers for all of it, and nothing loops either. Addresses of
    Services must have no such route: the node's own clients would meet it before kube-proxy's
    DNAT.
    """
    networks: set[Prefix] = set(services)
    waiting: list[tuple[Prefix, str]] = []
    for cidr in pod_cidrs:
        if (reason := contested.withheld.get(cidr)) is not None:
            waiting += [(cidr, reason)] if reason else []
        elif cidr in unreachables:
            networks.add(cidr)
            networks |= {half for half in contested.halves if cidr.covers(half)}
        else:
            waiting.append((cidr, "its unreachable route is not in the kernel yet"))
    for address in node_addresses:
        host = Prefix.from_address(address)
        if links.holds(address):
            networks.add(host)
        else:
            waiting.append((host, "no link of this node has the address"))
    for prefix in extra:
        if links.connects(prefix):
            networks.add(prefix)
        else:
            waiting.append((prefix, "no link of this node is connected to it"))
    return Announcement(tuple(sorted(networks)), tuple(sorted(waiting)))


class NextHops(NamedTuple):
    """Next hops of the family that is not that of its session, peer by peer."""

    found: Mapping[PeerId, Address]
    missing: Mapping[PeerId, tuple[int, str]]
    """The family that a peer is not announced for want of one, and why."""


def next_hops(
    peers: Iterable[PeerSettings], node_addresses: Iterable[Address], links: Links
) -> NextHops:
    """Return our address of the other family toward each peer that wants both on one session.

    It is one of the link that leads to the peer; for a peer behind routers a node address. A
    link-local one would mean nothing beyond the link, and ToRs may not take it.
    """
    found: dict[PeerId, Address] = {}
    missing: dict[PeerId, tuple[int, str]] = {}
    nodes = [address for address in node_addresses if links.holds(address)]
    for peer in peers:
        others = peer.families - {peer.address.version}
        if peer.interface or not others:
            continue
        (family,) = others
        link = links.on_link(peer.address)
        own = nodes if link is None else [interface.ip for interface in link.addresses]
        fitting = [a for a in own if a.version == family and not a.is_link_local]
        if fitting:
            found[peer.name] = fitting[0]
        else:
            where = f"link {link.name}" if link else "the node"
            kind = "global " if family == IPV6 else ""
            why = f"{where} has no {kind}IPv{family} address to be the next hop"
            missing[peer.name] = family, why
    return NextHops(found, missing)


def uplinks(peers: Iterable[Address], links: Links) -> tuple[str, ...]:
    """Return the names of the links toward directly connected peers, sorted."""
    found = {link.name for peer in peers if (link := links.toward(peer)) is not None}
    return tuple(sorted(found))


def smallest_mtu(names: Iterable[str], links: Links) -> int:
    """Return the smallest MTU of the named links in bytes, 1500 if there is none."""
    wanted = set(names)
    return min((link.mtu for link in links.all if link.name in wanted), default=1500)
