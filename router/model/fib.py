"""Our part of the kernel's forwarding state, as values.

A learned route points at a nexthop *group* object, also when it has one next hop, so that
a next hop that dies is taken out of every route behind it with one netlink message, and
so that the kernel itself drops a leg without carrier (net/ipv4/nexthop.c).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from bgp.nlri import IPV4, Prefix


class Hop(NamedTuple):
    """A next hop the kernel can use: a gateway on a link."""

    family: int
    """IPV4 or IPV6, of the gateway; it may differ from the route's (RFC 8950)."""
    gateway: int
    ifindex: int

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """The gateway as an address."""
        return IPv4Address(self.gateway) if self.family == IPV4 else IPv6Address(self.gateway)

    def __str__(self) -> str:
        return f"{self.address} on link {self.ifindex}"


Hops = tuple[Hop, ...]
"""Sorted and without duplicates, so that equal sets are equal values."""


class Route(NamedTuple):
    """What distinguishes two versions of one learned route."""

    group: int
    """Id of the nexthop group object."""
    metric: int
    source: int
    """Preferred source address, 0 if the kernel chooses (RTA_PREFSRC)."""


@dataclass(slots=True, kw_only=True)
class Fib:
    """Everything of ours that the kernel holds; kept in step by applying what we change.

    The mirror is a cache of the kernel, re-read whenever somebody else may have changed it.
    """

    nexthops: dict[int, Hop] = field(default_factory=dict)
    groups: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Group id to sorted member ids."""
    routes: dict[Prefix, Route] = field(default_factory=dict)
    strays: set[tuple[Prefix, int]] = field(default_factory=set)
    """(prefix, metric) of routes with our mark in a form we never write."""
    unreachables: set[Prefix] = field(default_factory=set)
    """Prefixes of the `unreachable` routes for our own pod CIDRs."""
    foreign_ids: frozenset[int] = frozenset()
    """Ids of nexthop objects that are not ours."""

    def is_on(self, indexes: frozenset[int]) -> bool:
        """Whether a next hop is on one of these links."""
        return any(hop.ifindex in indexes for hop in self.nexthops.values())

    def hops_of(self, group: int) -> Hops:
        """Return the next hops of a group, without members that no longer exist."""
        members = self.groups.get(group, ())
        return tuple(sorted(self.nexthops[m] for m in members if m in self.nexthops))
