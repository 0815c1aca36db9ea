"""From best paths and links to what each prefix should look like in the FIB. PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bgp.ends import interface_of
from bgp.nlri import Prefix
from router.model.fib import Hop
from router.model.link import Address, Links
from router.reconcile.form import Want

_NONE: Final[Mapping[Hop, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Metrics of learned routes; a default route gets one worse than any foreign default."""

    learned: int
    default: int


def resolve(next_hop: Address, links: Links) -> Hop | str:
    """Return the hop for a BGP next hop, or in words why there is none now.

    The next hop must stand on a connected network of a link that is up and has carrier: the
    kernel removes nexthop objects of any other (nh_netdev_event, net/ipv4/nexthop.c). A link-local
    one with a zone (a peer by interface) stands on that link.
    """
    link = links.toward(next_hop)
    if links.holds(next_hop):
        return f"next hop {next_hop} is this node's own address"
    if link is None:
        if zone := interface_of(next_hop):
            return f"there is no link {zone} toward next hop {next_hop}"
        return f"next hop {next_hop} is on no connected network"
    if not link.up:
        return f"link {link.name} toward next hop {next_hop} is down"
    if not link.carrier:
        return f"link {link.name} toward next hop {next_hop} has no carrier"
    if link.broadcasts_to(next_hop):
        return f"next hop {next_hop} is the broadcast address of link {link.name}"
    return Hop(next_hop.version, int(next_hop), link.index)


def hops_to(address: Address, links: Links) -> Callable[[Hop], bool]:
    """Return what tells the hops that are this peer; one by interface is there on its link only."""
    link = links.toward(address) if interface_of(address) else None

    def is_that(hop: Hop) -> bool:
        if (hop.family, hop.gateway) != (address.version, int(address)):
            return False
        return link is None or hop.ifindex == link.index

    return is_that


class Resolver:
    """`resolve` with its answers kept, for one observation of the links."""

    def __init__(self, links: Links, refused: Mapping[Hop, str] = _NONE) -> None:
        """Start without answers; `refused` are hops that the kernel does not take, and why."""
        self._links = links
        self._refused = refused
        self._answers: dict[Address, Hop | str] = {}

    def __call__(self, next_hop: Address) -> Hop | str:
        """Return the hop or the reason."""
        answer = self._answers.get(next_hop)
        if answer is None:
            answer = resolve(next_hop, self._links)
            if isinstance(answer, Hop) and answer in self._refused:
                answer = f"the kernel refuses next hop {next_hop}: {self._refused[answer]}"
            self._answers[next_hop] = answer
        return answer


def want(
    prefix: Prefix,
    next_hops: Iterable[Address],
    resolver: Resolver,
    metrics: Metrics,
    sources: dict[int, int],
) -> Want | None:
    """Return what the prefix needs, or None when none of the next hops can be used.

    `sources` gives the node's own address of each family, by which its host-network traffic
    reaches pods with the right source (design D8).
    """
    hops = {hop for next_hop in next_hops if isinstance(hop := resolver(next_hop), Hop)}
    if not hops:
        return None
    return Want(
        hops=tuple(sorted(hops)),
        metric=metrics.learned if prefix.length else metrics.default,
        source=sources.get(prefix.family, 0),
    )


def preferred_sources(node_addresses: Iterable[Address], links: Links) -> dict[int, int]:
    """Return the first node address of each family that stands on a link.

    The kernel refuses a preferred source that the node does not have.
    """
    sources: dict[int, int] = {}
    for address in node_addresses:
        if links.holds(address):
            sources.setdefault(address.version, int(address))
    return sources
