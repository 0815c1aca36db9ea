"""A dataplane without a kernel: remembers what it was asked, ends removals when told to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from cni.attachment.plan import AddHostRoute, Address, PodLinkPlan, RecordAttachment
from cni.server.dataplane import (
    AddressesChanged,
    Created,
    Disturbed,
    Event,
    Gone,
    ObservedLink,
    Restoration,
)
from cni.spec.errors import CniError


class FakeDataplane:
    """Implements ``cni.server.dataplane.Dataplane``."""

    def __init__(self) -> None:
        self.links: dict[int, ObservedLink] = {}
        self.held: tuple[ObservedLink, ...] | None = None
        self.plans: dict[int, PodLinkPlan] = {}
        self.removing: list[int] = []
        self.batches: list[tuple[int, ...]] = []
        self.refuse_create: CniError | None = None
        self.refuse_removal: str | None = None
        self.missing: tuple[str, ...] = ()
        self.local: frozenset[Address] = frozenset({ip_address("10.255.1.1")})
        self.no_filter = ""
        self.beside: frozenset[int] = frozenset()
        self.absent: frozenset[int] | None = None
        self.restorable: tuple[str, ...] = ()
        self.refuse_restore = ""
        self.sourceless: frozenset[int] = frozenset()
        self.restored: list[PodLinkPlan] = []
        self.routes_known = True
        self._told: list[Event] = []
        self._next_index = 10

    def fileno(self) -> int:
        return -1

    def observe(self) -> tuple[ObservedLink, ...]:
        return tuple(self.links.values())

    def hold_to_sources(self, links: Collection[ObservedLink]) -> None:
        self.held = tuple(links)

    def local_addresses(self) -> frozenset[Address]:
        return self.local

    def filter_problem(self) -> str:
        return self.no_filter

    def create(self, plan: PodLinkPlan, sandbox: int) -> Created:
        assert sandbox >= 0
        if self.refuse_create is not None:
            raise self.refuse_create
        self._next_index += 1
        alias = next(step.alias for step in plan.host if isinstance(step, RecordAttachment))
        routes = frozenset(step.destination for step in plan.host if isinstance(step, AddHostRoute))
        self.links[self._next_index] = ObservedLink(
            index=self._next_index,
            name=plan.create.host_name,
            alias=alias,
            condemned=False,
            routes=routes,
        )
        self.plans[self._next_index] = plan
        return Created(index=self._next_index, beside=self.beside)

    def check(self, plan: PodLinkPlan, index: int, sandbox: int) -> tuple[str, ...]:
        return self.missing

    def restore(self, plans: Mapping[int, PodLinkPlan]) -> Restoration:
        self.restored += plans.values()
        if self.refuse_restore:
            return Restoration(refused=dict.fromkeys(plans, self.refuse_restore))
        return Restoration(
            restored=tuple((index, what) for index in plans for what in self.restorable),
            sourceless=self.sourceless & plans.keys(),
        )

    def host_routes(self) -> Mapping[int, Collection[Address]] | None:
        if not self.routes_known:
            return None
        return {index: link.routes for index, link in self.links.items()}

    def absent_from(self, directory: Path) -> frozenset[int] | None:
        return self.absent

    def disturb(self, index: int) -> None:
        """Let somebody take something from a link."""
        self._told.append(Disturbed(index=index))

    def change_addresses(self, *addresses: str, local: Iterable[str]) -> None:
        """Let these addresses come or leave; ``local`` are the node's from now on."""
        self.local = frozenset(map(ip_address, local))
        self._told.append(AddressesChanged(addresses=frozenset(map(ip_address, addresses))))

    def remove(self, indexes: Sequence[int]) -> None:
        self.batches.append(tuple(indexes))
        self.removing += indexes

    def end_removals(self) -> None:
        """Let every removal that has begun end."""
        for index in self.removing:
            if self.refuse_removal is None:
                self.links.pop(index, None)
            self._told.append(Gone(index=index, error=self.refuse_removal))
        self.removing = []

    def lose(self, index: int) -> None:
        """Let a link leave by itself, as when its sandbox ends."""
        del self.links[index]
        self._told.append(Gone(index=index))

    def collect(self) -> tuple[Event, ...]:
        told, self._told = self._told, []
        return tuple(told)

    def close(self) -> None:
        pass
