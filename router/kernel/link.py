"""Observe links and their usable addresses, through pyroute2. SHELL."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address, ip_interface
from typing import Any, Final

from pyroute2 import IPRoute

from router.kernel.errors import KernelError
from router.kernel.protocols import RouteProtocol
from router.model.link import Address, InterfaceAddress, Link, Links

_RTPROT_RA: Final = 9
_IFF_UP: Final = 0x1
_IFF_LOWER_UP: Final = 0x10000
_IFA_F_UNUSABLE: Final = 0x40 | 0x08 | 0x20
"""IFA_F_TENTATIVE, IFA_F_DADFAILED, IFA_F_DEPRECATED (include/uapi/linux/if_addr.h)."""


class LinkTable:
    """The links of the namespace this was opened in."""

    def __init__(self) -> None:
        """Open a netlink socket that lives as long as the table."""
        self._netlink = IPRoute()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()

    def observe(self) -> Links:
        """Return all links with the addresses that can be used now. Raises KernelError."""
        try:
            addresses: dict[int, list[InterfaceAddress]] = {}
            for message in self._netlink.get_addr():
                found = _address(message)
                if found is not None:
                    addresses.setdefault(message["index"], []).append(found)
            return Links.of(
                _link(message, tuple(addresses.get(message["index"], ())))
                for message in self._netlink.get_links()
            )
        except OSError as error:
            raise KernelError(error.errno or 0, "list links and addresses") from error

    def gateways(self) -> tuple[Address, ...]:
        """Return the gateways of the default routes that are not ours, both families, sorted.

        Link-local gateways are left out: a peer by address cannot be one.
        """
        try:
            found: set[Address] = set()
            for family in (socket.AF_INET, socket.AF_INET6):
                for route in self._netlink.get_default_routes(family=family):
                    if route["proto"] != RouteProtocol.LEARNED:
                        found.update(map(ip_address, _gateways(route)))
        except OSError as error:
            raise KernelError(error.errno or 0, "list default routes") from error
        usable = [address for address in found if not address.is_link_local]
        return tuple(sorted(usable, key=lambda address: (address.version, int(address))))

    def advertised(self) -> tuple[str, ...]:
        """Return the links with an IPv6 default route from a router advertisement."""
        try:
            routes = self._netlink.get_routes(family=socket.AF_INET6, proto=_RTPROT_RA)
            indexes = {
                route.get("RTA_OIF")
                for route in routes
                if route["proto"] == _RTPROT_RA and not route["dst_len"]
            }
            return tuple(sorted(link.name for link in self.observe().all if link.index in indexes))
        except OSError as error:
            raise KernelError(error.errno or 0, "list advertised default routes") from error


def _gateways(route: Mapping[str, Any]) -> list[str]:
    legs = [route, *(route.get("RTA_MULTIPATH") or ())]
    return [leg.get("RTA_GATEWAY") for leg in legs if leg.get("RTA_GATEWAY")]


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
