"""Configuration objects of the API, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

GROUP: Final = "podroute.dev"
VERSION: Final = "v1alpha1"
GROUP_VERSION: Final = f"{GROUP}/{VERSION}"
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

    def packed(self) -> list[Any]:
        """Return it for a file of JSON that `unpacked` reads."""
        return [self.kind, self.name, self.spec]


def unpacked(value: object) -> ConfigObject:
    """Return what was packed. Raises ValueError for anything odd."""
    match value:
        case [str(kind), str(name), dict(spec)] if kind in KINDS:
            return ConfigObject(kind=kind, name=name, spec=spec)
    raise ValueError("not an object of ours")
