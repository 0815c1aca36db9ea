"""ForeignRouter: what the adapters of FRR, BIRD and GoBGP have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """One BGP neighbor to configure on the foreign router, as seen from it."""

    address: str
    remote_asn: int
    hold_time_s: int = 9
    password: str | None = None
    graceful_restart: bool = True
    bfd_interval_ms: int | None = None
    """Ask for BFD with three times this interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The attributes of a path as a router shows them."""

    as_path: tuple[int, ...] = ()
    med: int | None = None
    communities: tuple[tuple[int, int], ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """A router with some neighbors, the routes it originates and where to write its files."""

    asn: int
    router_id: str
    neighbors: Sequence[Neighbor]
    networks: Sequence[str] = ()


class ForeignRouter(Protocol):
    """A BGP router in a namespace."""

    def start(self) -> None:
        """Start the daemons and return once they answer."""

    def stop(self) -> None:
        """End them; idempotent."""

    def wait_established(self, address: str, deadline_s: float = 15) -> None:
        """Wait until the session with the neighbor is established."""

    def received(self, address: str) -> dict[str, str]:
        """Return prefix -> next hop of what the neighbor announced, stale paths included."""

    def seen(self, prefix: str) -> Seen:
        """Return the attributes of the only path to the prefix; empty if there is none."""

    def shut_down(self, address: str) -> None:
        """End the session administratively."""

    def is_stale(self, prefix: str) -> bool:
        """Tell whether the path to the prefix is kept over a graceful restart."""
