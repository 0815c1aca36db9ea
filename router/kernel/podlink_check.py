"""Compare a pod link in the kernel with its plan. SHELL: lists, compares, changes nothing.

Tolerates what plugins chained behind us change: the pod's hardware address (tuning), more
addresses, more routes. The node's neighbor entries must then follow the pod's real address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Self

from cni.attachment.plan import (
    AddAddress,
    AddDefaultRoute,
    AddHostRoute,
    AddNeighbor,
    Address,
    LinkOperation,
    PodLinkPlan,
)
from router.kernel import podlink_listing as listing
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.model.place import MAIN_TABLE


def missing_of(plan: PodLinkPlan, host: Channel, pod: Channel, index: int) -> tuple[str, ...]:
    """Return one line per operation of the plan that the kernel has not, or not any more.

    ``index`` is the host link's. Raises KernelError when a listing fails.
    """
    try:
        pod_link = find_link(pod, plan.create.pod_name)
        host_link = find_link(host, plan.create.host_name)
    except KernelError as error:
        return (str(error),)
    missing = [
        f"{where}: {link.name} is {state}"
        for where, link in (("sandbox", pod_link), ("host", host_link))
        for state, wrong in (("down", not link.up), ("without carrier", not link.carrier))
        if wrong
    ]
    if host_link.index != index or host_link.peer != pod_link.index:
        missing.append(f"host: {host_link.name} does not lead to {pod_link.name}")
    in_pod = _End.observe(pod, pod_link.index, _default_gateways(pod, pod_link.index))
    on_host = _End.observe(host, index, host_routes_on(host, index))
    missing += (
        f"sandbox: {operation.describe()}"
        for operation in plan.sandbox
        if not in_pod.has(operation, host_link.mac)
    )
    missing += (
        f"host: {operation.describe()}"
        for operation in plan.host
        if not on_host.has(operation, pod_link.mac)
    )
    return tuple(missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """What one end of the link has. ``routes``: gateways in the pod, destinations on the node."""

    addresses: frozenset[Address]
    neighbors: Mapping[Address, bytes]
    routes: frozenset[Address]

    @classmethod
    def observe(cls, channel: Channel, index: int, routes: set[Address]) -> Self:
        addresses = frozenset(
            address for number, address in addresses_of(channel) if number == index
        )
        neighbors = neighbors_on(channel, index)
        return cls(addresses=addresses, neighbors=neighbors, routes=frozenset(routes))

    def has(self, operation: LinkOperation, other_mac: bytes) -> bool:
        match operation:
            case AddAddress(address=address):
                return address in self.addresses
            case AddNeighbor(address=address):
                return self.neighbors.get(address) == other_mac
            case AddDefaultRoute(gateway=gateway):
                return gateway in self.routes
            case AddHostRoute(destination=destination):
                return destination in self.routes
            case _:
                return True


def find_link(channel: Channel, name: str) -> listing.LinkEntry:
    """Return a link by name; raise KernelError if there is none."""
    listed = channel.dump(listing.get_link(name), f"find link {name}")
    return listing.parse_link(next(p for kind, p in listed if kind == listing.RTM_NEWLINK))


def rules_of(channel: Channel, version: int) -> list[tuple[Address, int]]:
    """Return our rules of one family: (source address, table)."""
    parsed = (
        listing.parse_rule(payload)
        for _, payload in channel.dump(listing.list_rules(version), "list rules")
    )
    return [rule for rule in parsed if rule is not None]


def addresses_of(channel: Channel) -> list[tuple[int, Address]]:
    """Return (link index, address) of every address."""
    listed = channel.dump(listing.list_addresses(), "list addresses")
    return [listing.parse_address(payload) for _, payload in listed]


def _default_gateways(channel: Channel, index: int) -> set[Address]:
    """Return the gateways by which the pod leaves through this link.

    In the main table, or in one that a rule of ours leads to (ADR 0027).
    """
    gateways: set[Address] = set()
    for version in (4, 6):
        ruled = {table for _, table in rules_of(channel, version)}
        for _, payload in channel.dump(listing.list_table_routes(version), "list routes"):
            oif, length, _, gateway = listing.parse_route(payload)
            table = listing.parse_table(payload)
            is_looked_up = table == MAIN_TABLE or table in ruled
            if oif == index and length == 0 and gateway is not None and is_looked_up:
                gateways.add(gateway)
    return gateways


def neighbors_on(channel: Channel, index: int) -> dict[Address, bytes]:
    """Return the permanent neighbors on a link, by address."""
    found: dict[Address, bytes] = {}
    for _, payload in channel.dump(listing.list_neighbors(index), "list neighbors"):
        number, permanent, address, mac = listing.parse_neighbor(payload)
        if number == index and permanent:
            found[address] = mac
    return found


def host_routes_on(channel: Channel, index: int) -> set[Address]:
    """Return the addresses that our routes lead to this link."""
    found: set[Address] = set()
    for version in (4, 6):
        for _, payload in channel.dump(listing.list_pod_routes(version, index), "list pod routes"):
            oif, length, destination, _ = listing.parse_route(payload)
            full_length = 128 if isinstance(destination, IPv6Address) else 32
            if oif == index and destination is not None and length == full_length:
                found.add(destination)
    return found
