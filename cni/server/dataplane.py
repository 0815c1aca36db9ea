"""What the CNI server needs of the kernel; ``router.kernel.podlink`` implements it.

The server decides, the dataplane does. All calls come from the server's one thread. Errors are
``CniError`` subclasses of ``cni.spec.errors``, so that the runtime sees them as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cni.attachment.plan import Address, PodLinkPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedLink:
    """A link in our group, as the kernel has it.

    ``condemned``: its removal had begun. ``routes``: the destinations of our host routes on it.
    """

    index: int
    name: str
    alias: str
    condemned: bool
    routes: frozenset[Address]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A pod link that left the kernel, asked for or not.

    With ``error`` it did not leave: the kernel refused a removal that was asked for.
    """

    index: int
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbed:
    """A pod link that somebody changed: its host routes or neighbors may be gone."""

    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesChanged:
    """Addresses of the node that came or left; none named: any may have."""

    addresses: frozenset[Address]


Event = Gone | Disturbed | AddressesChanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What became of ``Dataplane.restore``, by the index of the host link.

    ``restored``: one line for each thing put back. ``refused``: links that still lack something,
    and the kernel's reason. ``sourceless``: links with a route that works, but without the
    preferred source of the plan, which the kernel does not accept now.
    """

    restored: tuple[tuple[int, str], ...] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    sourceless: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A pod link just made. ``index`` is the host link's.

    ``beside``: the IP versions whose default route the sandbox had before (ADR 0027).
    """

    index: int
    beside: frozenset[int] = frozenset()


class Dataplane(Protocol):
    """Pod links in the kernel."""

    def fileno(self) -> int:
        """Return a descriptor that polls readable when ``collect`` has something to tell."""

    def observe(self) -> tuple[ObservedLink, ...]:
        """Return every link of ours, finished or not. Reads only."""

    def hold_to_sources(self, links: Collection[ObservedLink]) -> None:
        """Let each link send from the addresses in its alias only, and forget all others."""

    def local_addresses(self) -> frozenset[Address]:
        """Return the node's own addresses: those a route may prefer as source."""

    def filter_problem(self) -> str:
        """Return why a plan with ``sources`` cannot be carried out on this node; "" if it can."""

    def create(self, plan: PodLinkPlan, sandbox: int) -> Created:
        """Carry out a plan with the pod's end in the open sandbox.

        On return the first packet passes in both directions. On an error nothing of it is left.
        """

    def check(self, plan: PodLinkPlan, index: int, sandbox: int) -> tuple[str, ...]:
        """Return what of the plan the kernel does not have, one line each; () if all is there."""

    def restore(self, plans: Mapping[int, PodLinkPlan]) -> Restoration:
        """Put back what the hosts' ends lack of their plans, by the links' indexes. No error."""

    def host_routes(self) -> Mapping[int, Collection[Address]] | None:
        """Return the destinations of our host routes, by link; None: not known."""

    def absent_from(self, directory: Path) -> Collection[int] | None:
        """Return the pod links whose sandbox has no file in ``directory``; None: not known."""

    def remove(self, indexes: Sequence[int]) -> None:
        """Begin to remove these links and return at once; ``collect`` tells the end of each."""

    def collect(self) -> tuple[Event, ...]:
        """Return what happened since the last call.

        Of a link that is gone, routes and addresses are gone, too.
        """

    def close(self) -> None:
        """Release sockets and threads; removals that have begun are finished first."""
