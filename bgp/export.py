"""Export: what goes along with an announcement to one peer. PURE.

Canonical: communities are sorted and without duplicates, as ExaBGP writes them, so that equal
intent is an equal value and what was sent can be compared with what was wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from bgp.nlri import IPAddress
from bgp.path import GRACEFUL_SHUTDOWN, Attributes

Community = tuple[int, int]
LargeCommunity = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Path attributes of an announcement."""

    next_hop: IPAddress | None = None
    """None is our end of the session."""
    communities: tuple[Community, ...] = ()
    large_communities: tuple[LargeCommunity, ...] = ()
    med: int | None = None
    as_path: tuple[int, ...] = ()
    """In full, if our own AS is to stand there more than once; empty for the usual one."""
    local_preference: int | None = None
    """To internal peers only, where it is otherwise 100."""

    def __post_init__(self) -> None:
        for name in ("communities", "large_communities"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))

    def is_what_was_sent(self, attributes: Attributes) -> bool:
        """Tell whether an UPDATE with these attributes carries this.

        Of the AS path only the length is compared: it is our own number again and again, and a
        peer with numbers of two octets is shown another.
        """
        return (
            self.next_hop in (None, attributes.next_hop)
            and self.communities == tuple(sorted(set(attributes.communities)))
            and self.large_communities == tuple(sorted(set(attributes.large_communities)))
            and self.med == attributes.med
            and max(1, len(self.as_path)) == max(1, attributes.path_length)
        )


PLAIN: Final = Export()


def with_prepends(export: Export, local_asn: int, times: int) -> Export:
    """Give the same with our own AS in the path `times` more often than usual."""
    if not times:
        return export
    return replace(export, as_path=(local_asn,) * (times + max(1, len(export.as_path))))


def going_away(export: Export, *, local_asn: int, is_internal: bool, prepend: int) -> Export:
    """Give the same as RFC 8326 has it before a planned end.

    To an internal peer the preference is lowered by ourselves (section 4.1), and nothing is
    prepended: it would take its own AS in the path for a loop.
    """
    marked = replace(export, communities=(*export.communities, GRACEFUL_SHUTDOWN))
    if is_internal:
        return replace(marked, local_preference=0)
    return with_prepends(marked, local_asn, prepend)


def words(communities: Iterable[tuple[int, ...]]) -> list[str]:
    """Write communities as people do: 65535:0, 65001:1:2."""
    return [":".join(map(str, community)) for community in communities]
