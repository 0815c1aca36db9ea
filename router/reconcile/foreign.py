"""Who else announces a pod CIDR of ours, by what the import guard refused (invariant 11). PURE."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import Final, NamedTuple

from bgp.nlri import BITS, Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.policy import AS_LOOP
from bgp.rib import Rejection
from router.model.link import Address

WIDER_BITS: Final = 4
"""A prefix around ours that is at most so much shorter may be another node's pod CIDR, given out
with another mask. A shorter one is a router's aggregate: every node would ask about it."""


class Foreign(NamedTuple):
    """A path to addresses of ours that comes from elsewhere, or may."""

    prefix: Prefix
    peer: PeerId
    origin_asn: int | None
    """None: from within our own AS."""
    is_certain: bool
    """Not our own announcement that came back."""


def around(cidr: Prefix) -> Iterator[Prefix]:
    """Give the CIDR itself and those around it that count."""
    for length in range(max(1, cidr.length - WIDER_BITS), cidr.length + 1):
        shift = BITS[cidr.family] - length
        yield Prefix(cidr.family, cidr.network >> shift << shift, length)


def foreign(
    refused: Iterable[tuple[Prefix, Rejection]],
    *,
    asns: Set[int],
    is_ours: Callable[[Address], bool],
) -> frozenset[Foreign]:
    """Return what of the refused paths is not, or may not be, our own come back.

    `asns` are ours toward any peer. Within one AS the AS path is empty and the next hop stays
    (RFC 4456); through others our AS stands in the path, at its end if nobody replaced it. Nodes
    that share an AS cannot be told apart by that, nor where a ToR replaces the nodes' AS by its own
    (as-override): then a path ends as it begins. Those paths are not certain.
    """
    found = set()
    for prefix, (peer, attributes, reason) in refused:
        origin = _origin(attributes)
        if is_ours(attributes.next_hop):
            continue
        certain = reason != AS_LOOP and not _may_be_ours(attributes.as_path, asns)
        found.add(Foreign(prefix, peer, origin, certain))
    return frozenset(found)


def _may_be_ours(path: tuple[int, ...], asns: Set[int]) -> bool:
    return bool(path) and (path[-1] in asns or (len(path) > 1 and path[-1] == path[0]))


def _origin(attributes: Attributes) -> int | None:
    path = attributes.as_path
    return path[-1] if path else None
