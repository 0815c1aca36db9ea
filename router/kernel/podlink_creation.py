"""Make a pod link as its plan says, or leave nothing of it. SHELL."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cni.attachment.plan import (
    AddAddress,
    AddDefaultRoute,
    AddHostRoute,
    LinkOperation,
    PodLinkPlan,
    RemoveMulticastRoute,
)
from cni.server.dataplane import Created
from cni.spec.errors import CniError, DataplaneError, InterfaceExistsError
from router.kernel import podlink_listing as listing
from router.kernel import podlink_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.podlink_beside import add_beside
from router.kernel.podlink_filter import FilterUnavailableError, SourceFilter
from router.kernel.podlink_sandbox import Sandboxes
from router.kernel.podlink_stencil import Messages
from router.kernel.refusal import Failure

_SETTLE_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.00005
_INDEX_ATTEMPTS: Final = 1000
_FIRST_INDEX: Final = 1_000_000
"""Far above what the kernel gives out by itself, which counts up from 1 and skips what is taken."""
_MAX_INDEX: Final = 2**31 - 1


class Creator:
    """Makes pod links, each with an index that no link had before."""

    def __init__(
        self, channel: Channel, sources: SourceFilter, sandboxes: Sandboxes, proc_sys: Path
    ) -> None:
        """Work on the node's channel; ``proc_sys`` is where /proc/sys is writable."""
        self._channel = channel
        self._filter = sources
        self._sandboxes = sandboxes
        self._proc_sys = proc_sys
        self._last_index = _FIRST_INDEX

    def avoid(self, indexes: Iterable[int]) -> None:
        """Go on behind the highest of these."""
        self._last_index = max((self._last_index, *indexes))

    def create(self, plan: PodLinkPlan, sandbox: int) -> Created:
        """Carry out the plan; undo all of it when the kernel refuses a part.

        Raises InterfaceExistsError when the pod has the name already, else DataplaneError.
        """
        messages = Messages(plan, sandbox)
        index = self._create_link(plan, messages)
        with contextlib.ExitStack() as undo:
            undo.callback(self._remove_now, index)
            try:
                # Before the link works: a pod never has a moment to send from what is not its own.
                self._filter.admit(index, plan.sources)
                with self._sandboxes.open_channel(sandbox, brief=True) as pod:
                    beside = self._apply_sandbox(pod, plan, messages, index, sandbox)
                    self._apply_host(plan, messages, index)
                    self._settle(pod, messages)
            except (KernelError, FilterUnavailableError) as error:
                raise DataplaneError(str(error)) from error
            undo.pop_all()
        return Created(index=index, beside=beside)

    def _create_link(self, plan: PodLinkPlan, messages: Messages) -> int:
        """Create both ends and return their index, the same on either side.

        Sent alone: what is batched behind a failed creation would still run, on whatever has that
        index. Choosing the number saves asking for it; the kernel says EBUSY where it is taken.
        """
        for _ in range(_INDEX_ATTEMPTS):
            self._last_index = self._last_index % _MAX_INDEX + 1
            try:
                failures = self._channel.send(messages.creation(self._last_index), "create a link")
            except KernelError as error:
                raise DataplaneError(str(error)) from error
            if not failures:
                return self._last_index
            if failures[0].errno != errno.EBUSY:
                raise self._not_created(plan, failures[0])
        raise DataplaneError(
            f"{plan.create.describe()}: no free link index after {self._last_index}"
        )

    def _not_created(self, plan: PodLinkPlan, failure: Failure) -> CniError:
        """Return the error for the runtime: whose link is in the way, or what else is wrong."""
        if failure.errno != errno.EEXIST:
            what = plan.create.describe()
            return DataplaneError(str(KernelError(failure.errno, what, failure.detail)))
        if self._link_exists(plan.create.host_name):
            return DataplaneError(f"the node has a link {plan.create.host_name}")
        return InterfaceExistsError(f"the sandbox has {plan.create.pod_name}")

    def _link_exists(self, name: str) -> bool:
        try:
            self._channel.dump(listing.get_link(name), f"find link {name}")
        except KernelError:
            return False
        return True

    def _apply_sandbox(
        self, pod: Channel, plan: PodLinkPlan, messages: Messages, index: int, sandbox: int
    ) -> frozenset[int]:
        """Set up the pod's end; return the IP versions that had a default route already.

        IPv6 is allowed on the link first where the runtime has disabled it.
        """
        failures = pod.send(messages.sandbox(), "set up the pod's end")
        if not failures:
            return frozenset()
        operations = plan.sandbox
        if any(_is_ipv6_refused(failure, operations) for failure in failures):
            self._sandboxes.enable_ipv6(sandbox, plan.create.pod_name, self._proc_sys)
            operations = tuple(operations[failure.index] for failure in failures)
            failures = self._batch(pod, operations, index)
        beside: set[int] = set()
        for failure in failures:
            operation = operations[failure.index]
            if not isinstance(operation, AddDefaultRoute) or failure.errno != errno.EEXIST:
                raise _refused(failure, operations)
            beside.add(operation.gateway.version)
        if beside:
            add_beside(pod, plan, beside, index)
        return frozenset(beside)

    def _apply_host(self, plan: PodLinkPlan, messages: Messages, index: int) -> None:
        """Set up the node's end.

        A route that prefers a node address is refused while the address is tentative, or has just
        left: added without, it gets its source when the address is heard of (``Repairs``).
        """
        failures = self._channel.send(messages.host(), "set up the node's end")
        if not failures:
            return
        operations = plan.host
        without_source: list[LinkOperation] = []
        for failure in failures:
            operation = operations[failure.index]
            if isinstance(operation, AddHostRoute) and failure.errno == errno.EINVAL:
                without_source.append(replace(operation, preferred_source=None))
            # The kernel may not have added it yet, or not at all (IPv6 off).
            elif not isinstance(operation, RemoveMulticastRoute):
                raise _refused(failure, operations)
        for failure in self._batch(self._channel, without_source, index):
            raise _refused(failure, without_source)

    def _batch(
        self, channel: Channel, operations: Sequence[LinkOperation], index: int
    ) -> list[Failure]:
        return channel.batch([wire.pack(operation, index) for operation in operations])

    def _settle(self, pod: Channel, messages: Messages) -> None:
        """Wait until the pod's end sends and receives.

        It drops what it should send until it has carrier. Reading a link makes the kernel do the
        link's pending carrier work (linkwatch_sync_dev in net/core/link_watch.c), so that one look
        is normally enough. And it drops what comes to an IPv6 address until the address's local
        route stands, which a kernel worker adds even with IFA_F_NODAD (addrconf_dad_work in
        net/ipv6/addrconf.c): nearly always while we set up the node's end, sometimes later.
        """
        batch = messages.settling()
        pause_s = _FIRST_PAUSE_S
        until_s = 0.0
        while not _has_settled(pod.ask(batch, "look at the pod's end"), batch.last):
            until_s = until_s or time.monotonic() + _SETTLE_S
            if time.monotonic() > until_s:
                raise KernelError(errno.ETIMEDOUT, "wait for the pod's end")
            time.sleep(pause_s)
            pause_s *= 2

    def _remove_now(self, index: int) -> None:
        """Undo: remove a link that we made, and wait for it. One that left meanwhile is fine."""
        with contextlib.suppress(KernelError):
            self._channel.request(wire.delete(index), f"remove link {index}")
        self._filter.forget((index,))


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


def _has_settled(listed: Sequence[tuple[int, bytes]], wanted: int) -> bool:
    """Return whether each answer is good: carrier, local routes."""
    return wanted == sum(
        listing.has_carrier(payload)
        if kind == listing.RTM_NEWLINK
        else kind == listing.RTM_NEWROUTE and listing.is_local(payload)
        for kind, payload in listed
    )
