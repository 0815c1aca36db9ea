"""Which of the paths to a prefix are used (RFC 4271 section 9.1.2.2). PURE.

The answer depends on the set of paths only, never on the order of their arrival.
"""

from __future__ import annotations

from bgp.path import DEFAULT_LOCAL_PREFERENCE, GRACEFUL_SHUTDOWN, Path
from bgp.peer import PeerId


def choose(paths: tuple[Path, ...], internal: frozenset[PeerId]) -> tuple[Path, ...]:
    """Return the paths to use together, in the order given; `internal` are the iBGP peers.

    Up to step d with multipath, "relaxed" (the AS paths must be equally long, not equal):
    highest local preference (eBGP paths have the default, GRACEFUL_SHUTDOWN means 0, RFC 8326);
    shortest AS path; lowest origin; lowest MED among the paths from one neighboring AS
    (missing = 0); eBGP before iBGP. The later steps only break ties, and here ties are what we
    are after.
    """
    if len(paths) < 2:
        return paths
    ranks = [_rank(path, internal) for path in paths]
    top = min(ranks)
    equal = [path for path, rank in zip(paths, ranks, strict=True) if rank == top]
    if any(path.attributes.med for path in equal):
        equal = _lowest_med(equal)
    if internal:
        equal = [path for path in equal if path.peer not in internal] or equal
    return tuple(equal)


def _rank(path: Path, internal: frozenset[PeerId]) -> tuple[int, int, int]:
    attributes = path.attributes
    preference = DEFAULT_LOCAL_PREFERENCE
    if attributes.communities and GRACEFUL_SHUTDOWN in attributes.communities:
        preference = 0
    elif attributes.local_preference is not None and path.peer in internal:
        preference = attributes.local_preference
    length = len(attributes.as_path) + len(attributes.as_sets)
    return (-preference, length, attributes.origin)


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
