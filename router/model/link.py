"""Network interfaces as the route agent sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from typing import Final

from bgp.ends import interface_of
from bgp.nlri import IPV4, Prefix

Address = IPv4Address | IPv6Address
InterfaceAddress = IPv4Interface | IPv6Interface

_POINT_TO_POINT: Final = 31
"""Networks of this length have no broadcast address (RFC 3021)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One network interface of the node's namespace."""

    index: int
    name: str
    up: bool
    """Administratively up (IFF_UP)."""
    carrier: bool
    """IFF_LOWER_UP: the other end is there."""
    mtu: int
    """Bytes."""
    addresses: tuple[InterfaceAddress, ...]
    """Usable ones: without tentative, failed or deprecated addresses."""

    @property
    def usable(self) -> bool:
        """Whether the kernel keeps nexthop objects on this link."""
        return self.up and self.carrier

    def broadcasts_to(self, address: Address) -> bool:
        """Whether it is the broadcast address of a network here, which is nobody's."""
        return any(
            own.version == IPV4
            and own.network.prefixlen < _POINT_TO_POINT
            and address == own.network.broadcast_address
            for own in self.addresses
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """All links, in index order."""

    all: tuple[Link, ...]

    @classmethod
    def of(cls, links: Iterable[Link]) -> Links:
        """Return the links in canonical order."""
        return cls(all=tuple(sorted(links, key=lambda link: link.index)))

    def has_lost(self, before: Links) -> bool:
        """Whether a link or an address of `before` went: only then the kernel removed something.

        A link that comes up, or an address that is usable at last, takes nothing from the FIB.
        """
        now = {link.index: link for link in self.all}
        for former in before.all:
            link = now.get(former.index)
            if link is None or (former.usable and not link.usable):
                return True
            if not set(former.addresses) <= set(link.addresses):
                return True
        return False

    def named(self, name: str) -> Link | None:
        """Return the link with this name."""
        return next((link for link in self.all if link.name == name), None)

    def toward(self, address: Address) -> Link | None:
        """Return the link that leads to an address next to us: that of its zone, or `on_link`.

        A zone is a link's name, or the address of the peer that stands there (`bgp.ends.beside`).
        """
        zone = interface_of(address)
        if zone is None:
            return self.on_link(address)
        link = self.named(zone)
        if link is not None:
            return link
        try:
            return self.on_link(ip_address(zone))
        except ValueError:
            return None

    def connects(self, prefix: Prefix) -> bool:
        """Whether a link is connected to all of a prefix, or has it as its address."""
        return any(
            Prefix.from_network(own.network).covers(prefix)
            for link in self.all
            for own in link.addresses
            if own.version == prefix.family
        )

    def on_link(self, address: Address) -> Link | None:
        """Return the link with a connected network holding `address`: longest prefix first."""
        best: tuple[int, Link] | None = None
        for link in self.all:
            for own in link.addresses:
                if own.version == address.version and address in own.network and own.ip != address:
                    length = own.network.prefixlen
                    if best is None or length > best[0]:
                        best = (length, link)
        return best[1] if best else None

    def holds(self, address: Address) -> bool:
        """Whether the node itself has this address."""
        return any(own.ip == address for link in self.all for own in link.addresses)
