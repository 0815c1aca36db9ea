"""Our part of the kernel's forwarding state, as values.

A learned route points at a nexthop *group* object, also when it has one next hop, so that
a next hop that dies is taken out of every route behind it with one netlink message, and
so that the kernel itself drops a leg without carrier (net/ipv4/nexthop.c). Where the kernel
has no such objects, each route carries its next hops itself (ADR 0125).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
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


class Form(Enum):
    """How a learned route says where it leads."""

    OBJECTS = "objects"
    """Through a nexthop group object."""
    PLAIN = "plain"
    """With its next hops in itself (RTA_MULTIPATH)."""


class Nexthops(StrEnum):
    """What the configuration says of the form."""

    AUTO = "auto"
    """Objects where the kernel has them."""
    OBJECTS = "objects"
    PLAIN = "plain"


class Route(NamedTuple):
    """What distinguishes two versions of one learned route."""

    group: int
    """Id of the nexthop group object; 0 in the plain form."""
    metric: int
    source: int
    """Preferred source address, 0 if the kernel chooses (RTA_PREFSRC)."""
    hops: Hops = ()
    """In the plain form. None and no group: a form that nobody wants."""

    @property
    def form(self) -> Form:
        """How it says where it leads."""
        return Form.OBJECTS if self.group else Form.PLAIN


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
    """(prefix, metric) of routes with our mark and a metric we never write."""
    unreachables: set[Prefix] = field(default_factory=set)
    """Prefixes of the `unreachable` routes for our own pod CIDRs."""
    foreign_ids: frozenset[int] = frozenset()
    """Ids of nexthop objects that are not ours."""

    def is_on(self, indexes: frozenset[int], form: Form) -> bool:
        """Whether a next hop is on one of these links; plain routes are asked in that form only."""
        hops = {*self.nexthops.values()}
        if indexes and form is Form.PLAIN:
            hops.update(*{route.hops for route in self.routes.values()})
        return any(hop.ifindex in indexes for hop in hops)

    def hops_of(self, route: Route) -> Hops:
        """Return where a route leads, whatever its form."""
        return self.hops_behind(route.group) if route.group else route.hops

    def hops_behind(self, group: int) -> Hops:
        """Return the next hops of a group, without members that no longer exist."""
        members = self.groups.get(group, ())
        return tuple(sorted(self.nexthops[m] for m in members if m in self.nexthops))
