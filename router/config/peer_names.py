"""Names of peers, by which filters and advertisements mean them. PURE.

A name that no peer has would match nothing, in silence. Peers of other nodes count: one document,
or one PodNetwork, is for all of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from router.config import words
from router.config.document import Section

GATEWAY: Final = "gateway"
"""Of peers for each default gateway, unless the document names them."""
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerNames:
    """The names that there are."""

    names: frozenset[str] = frozenset()
    gateways: frozenset[str] = frozenset()
    """What the names of peers for each default gateway begin with: their addresses follow."""
    is_complete: bool = True
    """False: there may be others, so nothing is refused."""

    def plus(self, other: PeerNames) -> PeerNames:
        """Return the names of both."""
        return PeerNames(
            names=self.names | other.names,
            gateways=self.gateways | other.gateways,
            is_complete=self.is_complete and other.is_complete,
        )

    def read(self, text: str) -> str:
        """Return the name of a peer. Raises ValueError with those that are known."""
        name = words.word(text)
        if not self.is_complete or name in self.names or self._is_of_gateway(name):
            return name
        if name in self.gateways:
            raise ValueError(
                f"{name} is a peer for each default gateway: name one, as {name}-ADDRESS"
            )
        known = sorted((*self.names, *(f"{each}-ADDRESS" for each in self.gateways)))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        shown = ", ".join(known[:_SHOWN]) + more
        raise ValueError(f"no peer {name!r}{hint} (known: {shown or 'there are none'})")

    def _is_of_gateway(self, name: str) -> bool:
        return any(
            name.startswith(f"{each}-") and _is_address(name[len(each) + 1 :])
            for each in self.gateways
        )


NO_PEERS: Final = PeerNames()
NOT_KNOWN: Final = PeerNames(is_complete=False)


def names_in(top: Section) -> PeerNames:
    """Return the names of the peers of a document, those of blocks for other nodes included.

    What is wrong with a peer is told where it is read.
    """
    names: set[str] = set()
    gateways: set[str] = set()
    for item in _peers(top.again([])):
        if item.has(GATEWAY):
            gateways.add(item.value("name", str, GATEWAY))
            continue
        key = next((k for k in ("name", "address", "interface") if item.has(k)), "name")
        names.add(_as_address(item.value(key, str, "")))
    return PeerNames(names=frozenset(names - {""}), gateways=frozenset(gateways))


def _peers(top: Section) -> Iterator[Section]:
    for part in (top, *top.sections("nodes")):
        yield from part.sections("peers")


def _is_address(text: str) -> bool:
    try:
        return str(words.address(text)) == text
    except ValueError:
        return False


def _as_address(text: str) -> str:
    """Return an address in the form that a peer without a name is called by."""
    try:
        return str(words.address(text))
    except ValueError:
        return text
