"""The pod link as a list of kernel operations, in order, and its undo. PURE.

The order is measured, not taste (ADR 0022): the link alone first, because the kernel goes on
with whatever is batched behind a creation that failed; then the sandbox in one batch, so that
its end is up before the host's; then the host in one batch, the alias first, the routes last.
A link in our group without alias is therefore unfinished; what else is missing can be put back.

The undo is one operation: addresses, neighbors and routes go with the link.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cni.attachment.alias import Addresses, render_alias
from cni.attachment.identity import (
    HOST_MAC,
    HOST_NAME_PREFIX,
    AttachmentKey,
    MacAddress,
    format_mac,
    host_name,
    pod_mac,
)

Address = IPv4Address | IPv6Address

GATEWAY_IPV4: Final = IPv4Address("169.254.1.1")
GATEWAY_IPV6: Final = IPv6Address("fe80::1")
"""Next hops that exist only as permanent neighbor entries in the pod: nobody owns them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateLink:
    """Create both ends, down: the host's in our link group, the pod's inside the sandbox."""

    host_name: str
    host_mac: MacAddress
    pod_name: str
    pod_mac: MacAddress
    mtu: int
    queues: int = 1

    def describe(self) -> str:
        """Return one line for people."""
        return f"create link {self.host_name} with {self.pod_name} in the sandbox, mtu {self.mtu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableAddressGeneration:
    """No automatic link-local address. Must precede BringUp; halves the cost of DEL, too."""

    def describe(self) -> str:
        """Return one line for people."""
        return "set addrgenmode none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BringUp:
    """Set the link up."""

    def describe(self) -> str:
        """Return one line for people."""
        return "set up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMulticastRoute:
    """Remove the IPv6 multicast route that the kernel gives every link, if any (ADR 0062)."""

    def describe(self) -> str:
        """Return one line for people."""
        return "remove the multicast route"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAttachment:
    """Record the attachment in the link's alias, and let it have no automatic address either.

    One message: each makes the kernel tell everybody of the link.
    """

    alias: str

    def describe(self) -> str:
        """Return one line for people."""
        return f"set addrgenmode none, alias {self.alias!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddAddress:
    """Add a /32 or /128 without prefix route; IPv6 without duplicate address detection."""

    address: Address

    def describe(self) -> str:
        """Return one line for people."""
        return f"add address {self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNeighbor:
    """Add a permanent neighbor: no ARP, no neighbor discovery, ever."""

    address: Address
    mac: MacAddress

    def describe(self) -> str:
        """Return one line for people."""
        return f"add neighbor {self.address} at {format_mac(self.mac)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddDefaultRoute:
    """Add the pod's default route; onlink, since the gateway is in no connected prefix.

    ``table`` None is the main table.
    """

    gateway: Address
    table: int | None = None

    def describe(self) -> str:
        """Return one line for people."""
        where = "" if self.table is None else f" in table {self.table}"
        return f"add default route via {self.gateway}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddHostRoute:
    """Add the node's /32 or /128 to the pod with our protocol mark; never replaces a route."""

    destination: Address
    preferred_source: Address | None

    def describe(self) -> str:
        """Return one line for people."""
        source = f" src {self.preferred_source}" if self.preferred_source else ""
        return f"add host route {self.destination}{source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddSourceRule:
    """Let what the pod sends from this address look up a table of its own (ADR 0027)."""

    address: Address
    table: int

    def describe(self) -> str:
        """Return one line for people."""
        return f"add rule from {self.address} lookup {self.table}"


LinkOperation = (
    DisableAddressGeneration
    | BringUp
    | RemoveMulticastRoute
    | RecordAttachment
    | AddAddress
    | AddNeighbor
    | AddDefaultRoute
    | AddHostRoute
    | AddSourceRule
)


_NO_ADDRESS_GENERATION: Final = DisableAddressGeneration()
_UP: Final = BringUp()
_NO_MULTICAST_ROUTE: Final = RemoveMulticastRoute()
_WAY_OUT: Final = {
    gateway.version: (
        AddNeighbor(address=gateway, mac=HOST_MAC),
        AddDefaultRoute(gateway=gateway),
    )
    for gateway in (GATEWAY_IPV4, GATEWAY_IPV6)
}
"""The same in every pod, by IP version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLinkPlan:
    """What to do for one pod link; undone by removing the link that ``create`` made.

    ``preferred``: the node's own addresses, the source of what it sends to the pod. The operations
    are listed when somebody asks: whoever carries them out for every ADD knows them by heart
    (``router.kernel.podlink_stencil``).
    """

    create: CreateLink
    alias: str
    addresses: Addresses
    preferred: Addresses
    anti_spoofing: bool

    @property
    def sources(self) -> tuple[Address, ...] | None:
        """Return what the pod may send from, None for anything (ADR 0060).

        In force before the link works, gone with it.
        """
        return self.addresses.each() if self.anti_spoofing else None

    @property
    def sandbox(self) -> tuple[LinkOperation, ...]:
        """Return what is done to the pod's end, in order."""
        operations: list[LinkOperation] = [_NO_ADDRESS_GENERATION, _UP]
        for address in self.addresses.each():
            operations += (AddAddress(address=address), *_WAY_OUT[address.version])
        return tuple(operations)

    @property
    def host(self) -> tuple[LinkOperation, ...]:
        """Return what is done to the node's end, in order."""
        operations: list[LinkOperation] = [
            RecordAttachment(alias=self.alias),
            _UP,
            _NO_MULTICAST_ROUTE,
        ]
        for address in self.addresses.each():
            preferred: Address | None = (
                self.preferred.ipv4 if address.version == 4 else self.preferred.ipv6
            )
            operations += (
                AddNeighbor(address=address, mac=self.create.pod_mac),
                AddHostRoute(destination=address, preferred_source=preferred),
            )
        return tuple(operations)

    def describe(self) -> tuple[str, ...]:
        """Return one line per operation, in order."""
        return (
            self.create.describe(),
            f"filter: accept {_listed(self.sources)} from it",
            *(f"sandbox: {operation.describe()}" for operation in self.sandbox),
            *(f"host: {operation.describe()}" for operation in self.host),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """What a plan takes from the node, the operator and the pod.

    ``mtu`` in bytes; ``sources`` for node-to-pod traffic; ``mac`` None: the key's (ADR 0021);
    ``queues`` pairs on each end; ``host_prefix``: what the host's end's name begins with.
    """

    mtu: int
    sources: Addresses
    mac: MacAddress | None = None
    queues: int = 1
    host_prefix: str = HOST_NAME_PREFIX
    anti_spoofing: bool = True


def plan_pod_link(key: AttachmentKey, addresses: Addresses, settings: LinkSettings) -> PodLinkPlan:
    """Return the plan of a pod link with these addresses."""
    return PodLinkPlan(
        create=CreateLink(
            host_name=host_name(key, settings.host_prefix),
            host_mac=HOST_MAC,
            pod_name=key.ifname,
            pod_mac=settings.mac or pod_mac(key),
            mtu=settings.mtu,
            queues=settings.queues,
        ),
        alias=render_alias(key, addresses),
        addresses=addresses,
        preferred=settings.sources,
        anti_spoofing=settings.anti_spoofing,
    )


def _listed(sources: tuple[Address, ...] | None) -> str:
    return "anything" if sources is None else f"only {', '.join(map(str, sources))}"


def plan_beside(plan: PodLinkPlan, versions: Collection[int], table: int) -> list[LinkOperation]:
    """Return what stands in for the default routes of these IP versions (ADR 0027).

    For a sandbox that had a default route before: what it sends from the new addresses leaves by
    the new link, all else as before.
    """
    operations: list[LinkOperation] = []
    for operation in plan.sandbox:
        match operation:
            case AddDefaultRoute(gateway=gateway) if gateway.version in versions:
                operations.append(AddDefaultRoute(gateway=gateway, table=table))
            case AddAddress(address=address) if address.version in versions:
                operations.append(AddSourceRule(address=address, table=table))
    return operations
