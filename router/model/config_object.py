"""Configuration objects of the API, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

NETWORK: Final = "PodNetwork"
PEER: Final = "BGPPeer"
ADVERTISEMENT: Final = "BGPAdvertisement"
KINDS: Final = (NETWORK, PEER, ADVERTISEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigObject:
    """One object, of one of `KINDS`."""

    kind: str
    name: str
    spec: Mapping[str, Any]
    """As JSON."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
