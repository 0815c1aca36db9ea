"""Advertisements: which prefixes of ours go to which peers, with which attributes. PURE.

Where there are none, every peer gets everything, plain. Where there are some, a peer gets what at
least one of them gives it, with the changes of all that do, in their order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bgp.export import PLAIN, Export
from bgp.filter import NO_CHANGE, Change
from bgp.filtering import announced_as
from bgp.nlri import Prefix
from bgp.peer import PeerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertisement:
    """What one of them gives."""

    name: str
    prefixes: frozenset[Prefix] = frozenset()
    """Given by name: pod CIDRs, node addresses, others of the operator's."""
    services: bool = False
    """Whether it gives everything else, too, that no advertisement gives by name."""
    peers: frozenset[str] = frozenset()
    """Names of the peers that get it; none is every peer."""
    change: Change = NO_CHANGE
    """A local preference is for internal peers."""

    def is_for(self, peer: str) -> bool:
        """Tell whether the peer of this name gets it."""
        return not self.peers or peer in self.peers


def advertised(
    advertisements: Iterable[Advertisement], peer: PeerSettings, networks: Iterable[Prefix]
) -> dict[Prefix, Export]:
    """Give what of the networks the peer gets, with its attributes."""
    known = tuple(advertisements)
    named = frozenset().union(*(each.prefixes for each in known))
    mine = [each for each in known if each.is_for(peer.name)]
    found: dict[Prefix, Export] = {}
    for prefix in networks:
        changes = tuple(
            each.change
            for each in mine
            if prefix in each.prefixes or (each.services and prefix not in named)
        )
        if changes:
            found[prefix] = _with_preference(announced_as(PLAIN, peer, changes), peer, changes)
    return found


def _with_preference(export: Export, peer: PeerSettings, changes: tuple[Change, ...]) -> Export:
    preferences = [c.local_preference for c in changes if c.local_preference is not None]
    if not peer.is_internal or not preferences:
        return export
    return replace(export, local_preference=preferences[-1])
