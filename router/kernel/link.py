"""Observe links and their usable addresses, through pyroute2. SHELL."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from bgp.nlri import IPV4, IPV6
from router.kernel import route as route_wire
from router.kernel.channel import Channel
from router.kernel.default_route import FOREIGN_PROTOCOLS, RTPROT_RA, Leg, read_legs
from router.kernel.errors import KernelError
from router.kernel.protocols import POD_LINK_GROUP
from router.model.link import Address, InterfaceAddress, Link, Links

_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x10000
_IFA_F_UNUSABLE: Final = 0x40 | 0x08 | 0x20
"""IFA_F_TENTATIVE, IFA_F_DADFAILED, IFA_F_DEPRECATED (include/uapi/linux/if_addr.h)."""


class LinkTable:
    """The links of the namespace this was opened in."""

    def __init__(self) -> None:
        """Open netlink sockets that live as long as the table. Raises KernelError."""
        self._netlink = IPRoute()
        self._channel = Channel()

    def close(self) -> None:
        """Close the sockets."""
        self._channel.close()
        self._netlink.close()

    def observe(self) -> Links:
        """Return all links but pods', with the addresses that can be used now.

        Raises KernelError. Pod links are the CNI server's: their coming and going is no news
        for routes.
        """
        try:
            addresses: dict[int, list[InterfaceAddress]] = {}
            for message in self._netlink.get_addr():
                found = _address(message)
                if found is not None:
                    addresses.setdefault(message["index"], []).append(found)
            return Links.of(
                _link(message, tuple(addresses.get(message["index"], ())))
                for message in self._netlink.get_links()
                if not _is_pods(message.get("IFLA_GROUP") or 0)
            )
        # pyroute2's own error is no OSError.
        except (OSError, NetlinkError) as error:
            code = error.code if isinstance(error, NetlinkError) else error.errno
            raise KernelError(code or errno.EIO, "list links and addresses") from error

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


def _address(message: Mapping[str, Any]) -> InterfaceAddress | None:
    flags = message.get("IFA_FLAGS") or message["flags"]
    # On a point-to-point address IFA_LOCAL is ours and IFA_ADDRESS the other end.
    text = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
    if text is None or flags & _IFA_F_UNUSABLE:
        return None
    if message["family"] not in (socket.AF_INET, socket.AF_INET6):
        return None
    return ip_interface(f"{text}/{message['prefixlen']}")


def _link(message: Mapping[str, Any], addresses: tuple[InterfaceAddress, ...]) -> Link:
    flags: int = message["flags"]
    return Link(
        index=message["index"],
        name=message.get("IFLA_IFNAME") or f"link{message['index']}",
        up=bool(flags & _IFF_UP),
        carrier=bool(flags & _IFF_LOWER_UP),
        mtu=message.get("IFLA_MTU") or 0,
        addresses=addresses,
    )
