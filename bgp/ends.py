"""The ends of a session: what ExaBGP knows a peer by. PURE.

A peer by interface has a link-local address, and every link may have the same one. ExaBGP knows no
zones: its name of such a peer is both ends of the session, and so is ours towards it.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from bgp.nlri import IPAddress


class Ends(NamedTuple):
    """Both link-local ends of a session, without zones."""

    peer: IPv6Address
    local: IPv6Address

    def __str__(self) -> str:
        """Give the words that select the session in a command of ExaBGP's API."""
        return f"{self.peer} local-ip {self.local}"


EXTENDED_NEXT_HOP: Final = "nexthop"
"""What ExaBGP calls the capability of RFC 8950: IPv4 routes may have IPv6 next hops."""

Remote = IPAddress | Ends
"""A peer as ExaBGP knows it; as text, what a command names it by."""


def interface_of(address: IPAddress) -> str | None:
    """Give the interface that an address belongs to, None without a zone."""
    return address.scope_id if isinstance(address, IPv6Address) else None


def beside(address: IPAddress, peer: IPAddress) -> IPAddress:
    """Give an address as a peer means it: a link-local one stands on the link toward the peer.

    That is its zone then: every link may have the same addresses.
    """
    if isinstance(address, IPv6Address) and address.is_link_local and address.scope_id is None:
        return IPv6Address(f"{address}%{without_zone(peer)}")
    return address


def without_zone(address: IPAddress) -> IPAddress:
    """Give the same address without its zone."""
    return IPv6Address(int(address)) if interface_of(address) else address


def remote_of(address: IPAddress, local: IPAddress | None) -> Remote:
    """Give what ExaBGP knows the peer by that has this address."""
    if interface_of(address) is None:
        return address
    if not isinstance(local, IPv6Address):
        raise ValueError(f"{address} needs our own link-local address")
    return Ends(IPv6Address(int(address)), IPv6Address(int(local)))


def address_of(remote: Remote) -> IPAddress:
    """Give the peer's address on the wire."""
    return remote.peer if isinstance(remote, Ends) else remote


def remote_named(name: str) -> Remote:
    """Give the peer of this name (`name_of`). Raises ValueError."""
    peer, between, local = name.partition(" ")
    return Ends(IPv6Address(peer), IPv6Address(local)) if between else ip_address(peer)


def told_name(address: str, local: str | None) -> str:
    """Give the name of a peer that the speaker tells of, by its words. Raises ValueError."""
    link_local = local and ip_address(address).is_link_local
    return name_of(remote_named(f"{address} {local}" if link_local else address))


def name_of(remote: Remote) -> str:
    """Give the name under which the speaker tells of the peer: one address, or both ends."""
    return f"{remote.peer} {remote.local}" if isinstance(remote, Ends) else str(remote)
