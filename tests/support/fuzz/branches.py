"""Which branches of the parsers a campaign reached. PURE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from tests.support.fuzz.pool import Outcome

PARSERS: Final = (
    "cni.wire",
    "cni.node_facts",
    "cni.spec.",
    "cni.attachment.alias",
    "cni.attachment.label",
    "cni.attachment.lease",
    "bgp.attribute",
    "bgp.multiprotocol",
    "bgp.nlri_wire",
    "bgp.update",
    "bgp.speaker.events",
    "bgp.speaker.reader",
    "bgp.speaker.stream",
)
"""Whatever takes bytes from outside; a component adds its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """``missing``: "module:line arm" of those that no execution reached."""

    total: int
    missing: tuple[str, ...]
    by_module: Mapping[str, float]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Self:
        """Put together what every process reached: one that several reach counts once."""
        places = cls._union(outcomes, "places")
        missing = places - cls._union(outcomes, "reached")
        modules = sorted({place.partition(":")[0] for place in places})
        return cls(
            total=len(places),
            missing=tuple(sorted(missing)),
            by_module={
                module: 100 * (1 - _count(missing, module) / _count(places, module))
                for module in modules
            },
        )

    @property
    def percent(self) -> float:
        """Return how many of 100 branches were reached."""
        return 100 * (1 - len(self.missing) / self.total) if self.total else 0.0

    @staticmethod
    def _union(outcomes: Sequence[Outcome], key: str) -> frozenset[str]:
        return frozenset(
            place
            for outcome in outcomes
            for place in outcome.report.get(key, ())
            if place.startswith(PARSERS)
        )


def _count(places: frozenset[str], module: str) -> int:
    return sum(place.startswith(f"{module}:") for place in places)
