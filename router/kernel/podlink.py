"""Pod links in the kernel: implements ``cni.server.dataplane.Dataplane``. SHELL.

Carries out the plans of ``cni.attachment.plan`` with packed messages, because the request layer of
pyroute2 costs ten times the kernel's own work here (design D3); imports none of it, which keeps the
CNI server small. Everything it makes carries our mark from its first moment (IFLA_GROUP), and it
removes nothing that does not.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from cni.attachment.alias import MalformedAliasError, parse_alias
from cni.attachment.plan import Address, PodLinkPlan
from cni.server.dataplane import (
    AddressesChanged,
    Created,
    Dataplane,
    Disturbed,
    Event,
    Gone,
    ObservedLink,
    Restoration,
)
from cni.spec.errors import DataplaneError
from router.kernel import podlink_listing as listing
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.podlink_check import missing_of
from router.kernel.podlink_creation import Creator
from router.kernel.podlink_filter import SourceFilter
from router.kernel.podlink_monitor import Heard, LinkMonitor
from router.kernel.podlink_presence import absent_from
from router.kernel.podlink_removal import Remover
from router.kernel.podlink_repair import host_routes, restore
from router.kernel.podlink_sandbox import Sandboxes

PROC_SYS: Final = Path("/proc/sys")
_LOOPBACK: Final = 1
"""LOOPBACK_IFINDEX (include/linux/netdevice.h)."""


def open_dataplane(proc_sys: Path = PROC_SYS) -> Dataplane:
    """Return the pod links of the network namespace we are in. Raises KernelError.

    ``proc_sys`` is where /proc/sys is writable: a container has it elsewhere (design D13).
    """
    return PodLinks(proc_sys)


class PodLinks:
    """All pod links of this node."""

    def __init__(self, proc_sys: Path) -> None:
        self._sandboxes = Sandboxes()
        self._channel = Channel()
        # Before the first look at the links, so that none leaves unseen in between.
        self._monitor = LinkMonitor()
        self._remover = Remover()
        self._live: set[int] = set()
        self._removing: set[int] = set()
        self._fresh: set[int] = set()
        self._filter = SourceFilter()
        self._creator = Creator(self._channel, self._filter, self._sandboxes, proc_sys)
        self._ready = select.epoll()
        self._ready.register(self._monitor.fileno(), select.EPOLLIN)
        self._ready.register(self._remover.fileno(), select.EPOLLIN)
        if (descriptor := self._filter.fileno()) is not None:
            self._ready.register(descriptor, select.EPOLLIN)

    def fileno(self) -> int:
        """Return an epoll descriptor, itself readable when one of ours is."""
        return self._ready.fileno()

    def close(self) -> None:
        """Finish the removals that have begun, and close everything."""
        self._remover.close()
        self._ready.close()
        self._monitor.close()
        self._filter.close()
        self._channel.close()
        self._sandboxes.close()

    # Observe

    def observe(self) -> tuple[ObservedLink, ...]:
        """Return every link with our mark; raises KernelError."""
        links = self._list_pod_links()
        self._live = {link.index for link in links if not link.is_condemned}
        self._removing = {link.index for link in links if link.is_condemned}
        self._creator.avoid(link.index for link in links)
        routes = host_routes(self._channel)
        return tuple(
            ObservedLink(
                index=link.index,
                name=link.name,
                alias=link.alias,
                condemned=link.is_condemned,
                routes=frozenset(routes.get(link.index, ())),
            )
            for link in links
        )

    def hold_to_sources(self, links: Collection[ObservedLink]) -> None:
        """Assert the anti-spoofing of these links, and of no other; raises KernelError."""
        # The alias says which addresses a link has: so the filter needs no record either.
        self._filter.assert_links(
            {link.index: _addresses_of(link.alias) for link in links if not link.condemned}
        )

    def host_routes(self) -> Mapping[int, Collection[Address]] | None:
        """Return the destinations of our host routes, by link; None: not known."""
        try:
            return host_routes(self._channel)
        except KernelError:
            return None

    def local_addresses(self) -> frozenset[Address]:
        """Return the addresses of all links of the node; raises KernelError."""
        listed = self._channel.dump(listing.list_addresses(), "list addresses")
        return frozenset(listing.parse_address(payload)[1] for _, payload in listed)

    def _list_pod_links(self) -> list[listing.LinkEntry]:
        listed = self._channel.dump(listing.list_veths(), "list links")
        links = [
            listing.parse_link(payload) for kind, payload in listed if kind == listing.RTM_NEWLINK
        ]
        return [link for link in links if link.is_pod_link]

    # Create

    def filter_problem(self) -> str:
        """Return why anti-spoofing is not possible here; "" if it is."""
        return self._filter.problem

    def create(self, plan: PodLinkPlan, sandbox: int) -> Created:
        """Carry out the plan; undo all of it when the kernel refuses a part.

        Raises InvalidEnvironmentError or SandboxIsHostError for a descriptor that is no sandbox,
        InterfaceExistsError when the pod has the name already, DataplaneError for anything else.
        """
        self._sandboxes.refuse_home(sandbox)
        try:
            created = self._creator.create(plan, sandbox)
        except DataplaneError:
            # The kernel refuses a descriptor of another kind (get_net_ns_by_fd); we can say why.
            self._sandboxes.check(sandbox)
            raise
        self._live.add(created.index)
        self._fresh.add(created.index)
        return created

    # Check

    def check(self, plan: PodLinkPlan, index: int, sandbox: int) -> tuple[str, ...]:
        """Return what the kernel lacks of the plan. Raises as ``create`` for a wrong descriptor."""
        self._sandboxes.check(sandbox)
        try:
            with self._sandboxes.open_channel(sandbox) as pod:
                missing = missing_of(plan, self._channel, pod, index)
            return missing + self._filter.missing_of(index, plan.sources)
        except KernelError as error:
            raise DataplaneError(str(error)) from error

    def restore(self, plans: Mapping[int, PodLinkPlan]) -> Restoration:
        """Put back what the hosts' ends of links have lost, by index."""
        return restore(self._channel, plans)

    def absent_from(self, directory: Path) -> frozenset[int] | None:
        """Return the links whose sandbox has no file in ``directory``; None: not known."""
        try:
            return absent_from(directory, self._channel)
        except KernelError:
            return None

    # Remove

    def remove(self, indexes: Sequence[int]) -> None:
        """Begin to remove these links; returns at once."""
        self._removing.update(indexes)
        self._remover.remove(indexes)

    def collect(self) -> tuple[Event, ...]:
        """Return the links that left, the removals that were refused, and what may need repair."""
        self._filter.look()
        heard = self._monitor.take()
        indexes, disturbed = heard.gone, self._disturbed_of(heard)
        if heard.lost:
            present = {link.index for link in self._list_pod_links()}
            indexes += (self._live | self._removing) - present
            disturbed = set(self._live)
        told: list[Event] = []
        for index in indexes:
            if index in self._live or index in self._removing:
                self._forget(index)
                told.append(Gone(index=index))
        if told:
            self._wait_for_other_ends()
        for index, error in self._remover.take():
            # Only where no notification came before: the number may be another link's by now.
            if index in self._removing:
                self._removing.discard(index)
                if error is None:
                    self._forget(index)
                told.append(Gone(index=index, error=error))
        self._filter.forget(
            each.index for each in told if isinstance(each, Gone) and not each.error
        )
        if heard.addresses or heard.lost:
            named = frozenset() if heard.lost else frozenset(heard.addresses)
            told.append(AddressesChanged(addresses=named))
        told += (Disturbed(index=index) for index in sorted(disturbed & self._live))
        return tuple(told)

    def _wait_for_other_ends(self) -> None:
        """Wait until the kernel has removed the pods' ends, too.

        The notification of the node's end is sent before the addresses of the other leave
        (unregister_netdevice_many_notify in net/core/dev.c), but all of it under one lock, which
        reading a link takes.
        """
        with contextlib.suppress(KernelError):
            self._channel.read((listing.get_link_at(_LOOPBACK),), "wait for the kernel")

    def _disturbed_of(self, heard: Heard) -> set[int]:
        """Return the links that somebody else has set up or taken something from."""
        disturbed = heard.disturbed - self._removing
        for index in heard.up:
            if index in self._fresh:
                # We did, in its creation.
                self._fresh.discard(index)
            else:
                disturbed.add(index)
        return disturbed

    def _forget(self, index: int) -> None:
        for indexes in (self._live, self._removing, self._fresh):
            indexes.discard(index)


def _addresses_of(alias: str) -> Collection[Address]:
    try:
        return parse_alias(alias)[1].each()
    except MalformedAliasError:
        return ()
