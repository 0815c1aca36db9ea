"""Which of the paths to a prefix are used (RFC 4271 section 9.1.2.2). PURE.

The answer depends on the set of paths only, never on the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bgp.path import DEFAULT_LOCAL_PREFERENCE, GRACEFUL_SHUTDOWN, Path
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId


def choose(paths: tuple[Path, ...], internal: frozenset[PeerId]) -> tuple[Path, ...]:
    """Return the paths to use together, in the order given; `internal` are the iBGP peers.

    Up to step d with multipath, "relaxed" (the AS paths must be equally long, not equal):
    highest local preference (an import filter's, else eBGP paths have the default;
    GRACEFUL_SHUTDOWN means 0, RFC 8326);
    shortest AS path; lowest origin; lowest MED among the paths from one neighboring AS
    (missing = 0); eBGP before iBGP. The later steps only break ties, and here ties are what we
    are after.
    """
    if len(paths) < 2:
        return paths
    ranks = [rank(path, internal) for path in paths]
    top = min(ranks)
    equal = [path for path, rank in zip(paths, ranks, strict=True) if rank == top]
    if any(path.attributes.med for path in equal):
        equal = _lowest_med(equal)
    if internal:
        equal = [path for path in equal if path.peer not in internal] or equal
    return tuple(equal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which of equal paths are used together."""

    strict: bool = False
    """Only paths with the same AS path, not merely one of the same length."""
    limit: int | None = None
    """How many at most."""


RELAXED: Final = Selection()


class Decision:
    """The decision process for a set of peers."""

    def __init__(self, peers: Iterable[PeerSettings], selection: Selection) -> None:
        """Take what distinguishes the peers."""
        settings = sorted(peers, key=lambda peer: (peer.address.version, peer.address))
        self.selection = selection
        self._is_relaxed = selection == RELAXED
        self._internal = frozenset(peer.name for peer in settings if peer.is_internal)
        self._order = {peer.name: place for place, peer in enumerate(settings)}

    def choose(self, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        """Return the paths to use together, in the order given."""
        best = choose(paths, self._internal)
        if self._is_relaxed:
            return best
        return narrow(best, self.selection, self._order)


def narrow(
    paths: tuple[Path, ...], selection: Selection, order: Mapping[PeerId, int]
) -> tuple[Path, ...]:
    """Return those of the chosen paths that the selection leaves, in the order given.

    The tie is broken by the lowest peer address (RFC 4271 section 9.1.2.2 g), whose place `order`
    has; router ids are not compared, so that a session that comes back moves nothing.
    """
    if len(paths) < 2:
        return paths
    ranked = sorted(paths, key=lambda path: order[path.peer])
    if selection.strict:
        first = _as_path(ranked[0])
        ranked = [path for path in ranked if _as_path(path) == first]
    left = set(ranked[: selection.limit])
    return tuple(path for path in paths if path in left)


def _as_path(path: Path) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    return path.attributes.as_path, path.attributes.as_sets


def rank(path: Path, internal: frozenset[PeerId]) -> tuple[int, int, int]:
    """Return what is compared first: preference (negative), length of the AS path, origin."""
    attributes = path.attributes.common
    preference = DEFAULT_LOCAL_PREFERENCE
    if attributes.communities and GRACEFUL_SHUTDOWN in attributes.communities:
        preference = 0
    elif attributes.local_preference is not None and (
        path.peer in internal or attributes.is_preferred
    ):
        preference = attributes.local_preference
    return (-preference, path.attributes.path_length, attributes.origin)


def _lowest_med(paths: list[Path]) -> list[Path]:
    lowest: dict[int | None, int] = {}
    for path in paths:
        asn, med = path.attributes.neighboring_asn, path.attributes.med or 0
        lowest[asn] = min(med, lowest.get(asn, med))
    return [
        path
        for path in paths
        if (path.attributes.med or 0) == lowest[path.attributes.neighboring_asn]
    ]
