"""Observe links, their usable addresses and default routes. SHELL."""

from __future__ import annotations

import errno

from bgp.nlri import IPV4, IPV6
from router.kernel import link_wire
from router.kernel import route as route_wire
from router.kernel.channel import Channel
from router.kernel.default_route import FOREIGN_PROTOCOLS, RTPROT_RA, Leg, read_legs
from router.kernel.errors import KernelError
from router.kernel.protocols import POD_LINK_GROUP
from router.model.link import Address, InterfaceAddress, Links


class LinkTable:
    """The links of the namespace this was opened in."""

    def __init__(self) -> None:
        """Open a netlink socket that lives as long as the table. Raises KernelError."""
        self._channel = Channel()

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def observe(self) -> Links:
        """Return all links but pods', with the addresses that can be used now.

        Raises KernelError. Pod links are the CNI server's: their coming and going is no news
        for routes.
        """
        addresses: dict[int, list[InterfaceAddress]] = {}
        for _, payload in self._channel.dump(link_wire.list_addresses(), "list addresses"):
            index, found = link_wire.read_address(payload)
            if found is not None:
                addresses.setdefault(index, []).append(found)
        listed = self._channel.dump(link_wire.list_links(), "list links")
        links = (link_wire.read_link(payload, addresses) for _, payload in listed)
        return Links.of(link for link, group in links if not _is_pods(group))

    def gateways(self) -> tuple[Address, ...]:
        """Return the gateways of the default routes that are not ours, both families, sorted.

        Link-local gateways are left out: a peer by address cannot be one.
        """
        found = {
            leg.gateway
            for protocol in FOREIGN_PROTOCOLS
            for family in (IPV4, IPV6)
            for leg in self._legs(family, protocol)
            if leg.gateway is not None and not leg.gateway.is_link_local
        }
        return tuple(sorted(found, key=lambda address: (address.version, int(address))))

    def advertised(self) -> tuple[str, ...]:
        """Return the links with an IPv6 default route from a router advertisement."""
        indexes = {leg.ifindex for leg in self._legs(IPV6, RTPROT_RA)}
        if not indexes:
            return ()
        return tuple(sorted(link.name for link in self.observe().all if link.index in indexes))

    def _legs(self, family: int, protocol: int) -> list[Leg]:
        what = f"list IPv{family} default routes"
        try:
            listed = self._channel.dump(route_wire.dump(family, protocol), what)
        except KernelError as error:
            # The main table is made with its first route (fib_new_table, net/ipv4).
            if error.errno == errno.ENOENT:
                return []
            raise
        return [leg for _, payload in listed for leg in read_legs(family, payload)]


def _is_pods(group: int) -> bool:
    """Tell whether a link group is one of the CNI server's (the second: being removed)."""
    return POD_LINK_GROUP in (group, group >> 16)
