"""Pod links in the kernel: implements ``cni.server.dataplane.Dataplane``. SHELL.

Carries out the plans of ``cni.attachment.plan`` with packed messages, because the request layer of
pyroute2 costs ten times the kernel's own work here (design D3); imports none of it, which keeps the
CNI server small. Everything it makes carries our mark from its first moment (IFLA_GROUP), and it
removes nothing that does not.
"""

from __future__ import annotations

import contextlib
import errno
import select
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cni.attachment.plan import AddAddress, Address, LinkOperation, PodLinkPlan
from cni.server.dataplane import Dataplane, Gone, ObservedLink
from cni.spec.errors import DataplaneError, InterfaceExistsError
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.channel import Channel, Failure
from router.kernel.errors import KernelError
from router.kernel.podlink_check import missing_of
from router.kernel.podlink_monitor import LinkMonitor
from router.kernel.podlink_removal import Remover
from router.kernel.podlink_sandbox import Sandboxes

PROC_SYS: Final = Path("/proc/sys")

_CARRIER_ATTEMPTS: Final = 5
_INDEX_ATTEMPTS: Final = 1000
_FIRST_INDEX: Final = 1_000_000
"""Far above what the kernel gives out by itself, which counts up from 1 and skips what is taken."""
_MAX_INDEX: Final = 2**31 - 1


def open_dataplane(proc_sys: Path = PROC_SYS) -> Dataplane:
    """Return the pod links of the network namespace we are in. Raises KernelError.

    ``proc_sys`` is where /proc/sys is writable: a container has it elsewhere (design D13).
    """
    return PodLinks(proc_sys)


class PodLinks:
    """All pod links of this node."""

    def __init__(self, proc_sys: Path) -> None:
        self._proc_sys = proc_sys
        self._sandboxes = Sandboxes()
        self._channel = Channel()
        # Before the first look at the links, so that none leaves unseen in between.
        self._monitor = LinkMonitor()
        self._remover = Remover()
        self._live: set[int] = set()
        self._removing: set[int] = set()
        self._last_index = _FIRST_INDEX
        self._ready = select.epoll()
        self._ready.register(self._monitor.fileno(), select.EPOLLIN)
        self._ready.register(self._remover.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """Return an epoll descriptor, itself readable when one of ours is."""
        return self._ready.fileno()

    def close(self) -> None:
        """Finish the removals that have begun, and close everything."""
        self._remover.close()
        self._ready.close()
        self._monitor.close()
        self._channel.close()
        self._sandboxes.close()

    # Observe

    def observe(self) -> tuple[ObservedLink, ...]:
        """Return every link with our mark; raises KernelError."""
        links = self._list_pod_links()
        self._live = {link.index for link in links if not link.is_condemned}
        self._removing = {link.index for link in links if link.is_condemned}
        self._last_index = max((self._last_index, *(link.index for link in links)))
        routes: dict[int, set[Address]] = {}
        for version, full_length in ((4, 32), (6, 128)):
            for _, payload in self._channel.dump(
                listing.list_pod_routes(version), "list pod routes"
            ):
                index, length, destination, _ = listing.parse_route(payload)
                if destination is not None and length == full_length:
                    routes.setdefault(index, set()).add(destination)
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

    def create(self, plan: PodLinkPlan, sandbox: int) -> int:
        """Carry out the plan; undo all of it when the kernel refuses a part.

        Raises InvalidEnvironmentError or SandboxIsHostError for a descriptor that is no sandbox,
        InterfaceExistsError when the pod has the name already, DataplaneError for anything else.
        """
        self._sandboxes.check(sandbox)
        index = self._create_link(plan, sandbox)
        with contextlib.ExitStack() as undo:
            undo.callback(self._remove_now, index)
            try:
                with self._open_channel(sandbox) as pod:
                    self._apply_sandbox(pod, plan, index, sandbox)
                    self._apply(self._channel, plan.host, index)
                    self._settle(pod, index)
            except KernelError as error:
                raise DataplaneError(str(error)) from error
            undo.pop_all()
        self._live.add(index)
        return index

    def _create_link(self, plan: PodLinkPlan, sandbox: int) -> int:
        """Create both ends and return their index, the same on either side.

        Sent alone: what is batched behind a failed creation would still run, on whatever has that
        index. Choosing the number saves asking for it; the kernel says EBUSY where it is taken.
        """
        what = plan.create.describe()
        for _ in range(_INDEX_ATTEMPTS):
            self._last_index = self._last_index % _MAX_INDEX + 1
            request = wire.create(plan.create, self._last_index, sandbox)
            try:
                self._channel.request(request, what)
            except KernelError as error:
                if error.errno == errno.EBUSY:
                    continue
                if error.errno != errno.EEXIST:
                    raise DataplaneError(str(error)) from error
                if self._link_exists(plan.create.host_name):
                    raise DataplaneError(f"the node has a link {plan.create.host_name}") from error
                raise InterfaceExistsError(f"the sandbox has {plan.create.pod_name}") from error
            return self._last_index
        raise DataplaneError(f"{what}: no free link index after {self._last_index}")

    def _link_exists(self, name: str) -> bool:
        try:
            self._channel.dump(listing.get_link(name), f"find link {name}")
        except KernelError:
            return False
        return True

    def _open_channel(self, sandbox: int) -> Channel:
        with self._sandboxes.entered(sandbox):
            return Channel()

    def _apply_sandbox(self, pod: Channel, plan: PodLinkPlan, index: int, sandbox: int) -> None:
        """Set up the pod's end, allowing IPv6 on it first where the runtime has disabled it."""
        failures = self._batch(pod, plan.sandbox, index)
        if any(_is_ipv6_refused(failure, plan.sandbox) for failure in failures):
            self._sandboxes.enable_ipv6(sandbox, plan.create.pod_name, self._proc_sys)
            self._apply(pod, [plan.sandbox[failure.index] for failure in failures], index)
        elif failures:
            raise _refused(failures[0], plan.sandbox)

    def _apply(self, channel: Channel, operations: Sequence[LinkOperation], index: int) -> None:
        for failure in self._batch(channel, operations, index):
            raise _refused(failure, operations)

    def _batch(
        self, channel: Channel, operations: Sequence[LinkOperation], index: int
    ) -> list[Failure]:
        return channel.batch([wire.pack(operation, index) for operation in operations])

    def _settle(self, pod: Channel, index: int) -> None:
        """Wait until the pod's end has carrier: until then it drops what it should send.

        Reading a link makes the kernel do the link's pending carrier work (linkwatch_sync_dev in
        net/core/link_watch.c), so that one look is normally enough.
        """
        for _ in range(_CARRIER_ATTEMPTS):
            listed = pod.dump(listing.get_link_at(index), "read the pod's link")
            if any(
                kind == listing.RTM_NEWLINK and listing.has_carrier(payload)
                for kind, payload in listed
            ):
                return

    def _remove_now(self, index: int) -> None:
        """Undo: remove a link that we made, and wait for it. One that left meanwhile is fine."""
        with contextlib.suppress(KernelError):
            self._channel.request(wire.delete(index), f"remove link {index}")

    # Check

    def check(self, plan: PodLinkPlan, index: int, sandbox: int) -> tuple[str, ...]:
        """Return what the kernel lacks of the plan. Raises as ``create`` for a wrong descriptor."""
        self._sandboxes.check(sandbox)
        try:
            with self._open_channel(sandbox) as pod:
                return missing_of(plan, self._channel, pod, index)
        except KernelError as error:
            raise DataplaneError(str(error)) from error

    # Remove

    def remove(self, indexes: Sequence[int]) -> None:
        """Begin to remove these links; returns at once."""
        self._removing.update(indexes)
        self._remover.remove(indexes)

    def collect(self) -> tuple[Gone, ...]:
        """Return the links that left, and the removals that were refused."""
        indexes, lost = self._monitor.take()
        if lost:
            present = {link.index for link in self._list_pod_links()}
            indexes += (self._live | self._removing) - present
        gone: list[Gone] = []
        for index in indexes:
            if index in self._live or index in self._removing:
                self._live.discard(index)
                self._removing.discard(index)
                gone.append(Gone(index=index))
        for index, error in self._remover.take():
            # Only where no notification came before: the number may be another link's by now.
            if index in self._removing:
                self._removing.discard(index)
                if error is None:
                    self._live.discard(index)
                gone.append(Gone(index=index, error=error))
        return tuple(gone)


def _refused(failure: Failure, operations: Sequence[LinkOperation]) -> KernelError:
    return KernelError(failure.errno, operations[failure.index].describe(), failure.detail)


def _is_ipv6_refused(failure: Failure, operations: Sequence[LinkOperation]) -> bool:
    """Return whether an IPv6 address was refused as disabled (ipv6_add_addr in addrconf.c)."""
    operation = operations[failure.index]
    return (
        failure.errno == errno.EACCES
        and isinstance(operation, AddAddress)
        and operation.address.version == 6
    )
