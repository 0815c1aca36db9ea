"""Peers by interface: what a link needs to find its router, and what was found."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import NamedTuple


class Port(NamedTuple):
    """A link on which router advertisements are sent and heard, from its own address."""

    ifindex: int
    own: IPv6Address
    """Our link-local address on it: the source of all that is sent."""


class Routers(NamedTuple):
    """Who was heard on one port."""

    router: IPv6Address | None = None
    """The router to peer with; None before one was heard."""
    others: tuple[IPv6Address, ...] = ()
    """Further routers that are there at the same time, sorted: the link is no link of two."""
    problem: str = ""
    """Why nothing can be sent, or heard, now; "" if it can."""


class Discovered(NamedTuple):
    """Both ends of the session over one interface, or why there are none yet."""

    interface: str
    own: IPv6Address | None = None
    router: IPv6Address | None = None
    why_not: str = ""
    """In words; "" if both ends are known."""
    note: str = ""
    """What an operator should know although both ends are known."""
