"""The decision for many prefixes at once: what is decided alike is decided once. PURE.

What the decision process sees of a prefix is the attributes that each peer gave it. They are looked
up for all prefixes in one go, by the interpreter's own loops; sorting the prefixes by them is the
only line of Python for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Final, NamedTuple

from bgp.decision import Decision
from bgp.nlri import IPAddress, Prefix
from bgp.path import Attributes, Common, Path
from bgp.peer_id import PeerId

_NOTHING: Final = (None, None)
"""In place of the attributes that a peer did not give."""
_COMMON: Final = itemgetter(0)
_Given = Attributes | tuple[None, None]


class Answer(NamedTuple):
    """The next hops to use together for some prefixes; none: there is no usable path."""

    hops: tuple[IPAddress, ...]
    prefixes: list[Prefix]


def decide_all(
    decision: Decision,
    tables: Sequence[tuple[PeerId, Mapping[Prefix, Attributes]]],
    prefixes: list[Prefix],
) -> Iterator[Answer]:
    """Decide for prefixes of one family; `tables` are the peers' usable paths, sorted by peer."""
    if not prefixes:
        return
    if not tables:
        yield Answer((), prefixes)
        return
    columns: list[list[_Given]] = [
        list(map(accepted.get, prefixes, repeat(_NOTHING))) for _, accepted in tables
    ]
    rows = zip(*(_keys(decision, column) for column in columns), strict=True)
    groups: dict[tuple[int, ...], tuple[tuple[_Given, ...], list[Prefix]]] = {}
    # Nothing that this loop makes lives on, so the cycle collector has nothing to look at.
    for prefix, row, given in zip(prefixes, rows, zip(*columns, strict=True), strict=True):
        known = groups.get(row)
        if known is None:
            groups[row] = given, [prefix]
        else:
            known[1].append(prefix)
    for given, group in groups.values():
        paths = tuple(
            Path(peer, attributes)
            for (peer, _), attributes in zip(tables, given, strict=True)
            if isinstance(attributes, Attributes)
        )
        best = decision.choose(paths)
        yield Answer(tuple(path.attributes.next_hop for path in best), group)


def _keys(decision: Decision, column: list[_Given]) -> list[int]:
    """Return equal numbers for what is equal to the decision process, of one peer's paths.

    Paths that share their `Common` with its standing are; without one, or where AS paths are
    compared, it is only known of the same object. All are alive in `column`, so ids are unique.
    """
    commons: list[Common | None] = list(map(_COMMON, column))
    keys = list(map(id, commons))
    kinds = dict(zip(keys, commons, strict=True)).values()
    if decision.selection.strict or any(c is not None and c.standing is None for c in kinds):
        return list(map(id, column))
    return keys
