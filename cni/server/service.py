"""Where every call to the CNI server and every event of the kernel comes in. No I/O of its own.

Single-threaded: one call is handled at a time; a call that must wait for the kernel is answered by
a later ``collect``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cni.ipam.allocator import AddressTakenError
from cni.server.answer import attachment_fields, refuse
from cni.server.attach import Attacher, Clocks
from cni.server.call import Caller, check_call, decode_request, is_version_command
from cni.server.dataplane import AddressesChanged, Dataplane, Event, Gone
from cni.server.facts import FactsFile
from cni.server.forgotten import GRACE_S, Forgotten
from cni.server.labels import Labels
from cni.server.lease_calls import LeaseCalls
from cni.server.leases import Leases
from cni.server.meter import Meter
from cni.server.node import Node
from cni.server.overview import Overview, unrouted
from cni.server.pod_link_calls import PodLinkCalls
from cni.server.records import MemoryRecords, Records
from cni.server.registry import Attachment, Registry, Unfinished, classify
from cni.server.removals import Removals
from cni.server.repairs import Repairs
from cni.spec.version import version_result
from cni.wire import Door, Request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the server has besides the kernel.

    Records for what the kernel has no place for; ``sandbox_dir``, where every runtime of the node
    keeps its sandboxes (see ``cni.server.forgotten``), and how long one may be away from there;
    capabilities that the process needs and has not.
    """

    labels: Records = field(default_factory=MemoryRecords)
    leases: Records = field(default_factory=MemoryRecords)
    sandbox_dir: Path | None = None
    sandbox_grace_s: float = GRACE_S
    lacking: tuple[str, ...] | None = None


class Service:
    """Carries out calls, and keeps what they made as it was made."""

    def __init__(
        self,
        dataplane: Dataplane,
        facts_file: FactsFile,
        clock: Callable[[], float] = time.monotonic,
        surroundings: Surroundings | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        around = surroundings or Surroundings()
        self._dataplane = dataplane
        self._meter = Meter(clock)
        self._lacking = around.lacking
        self._swept = 0
        self._being_swept: set[int] = set()
        """Indexes of links; each counts once, when it is gone, however often that was tried."""
        self._registry = Registry()
        self._labels = Labels(around.labels)
        self._node = Node(dataplane, facts_file, clock)
        self._leases = Leases(around.leases, self._node.addressing)
        self._removals = Removals(self._registry, dataplane, self._forget)
        self._repairs = Repairs(self._registry, dataplane, self._node, clock)
        self._forgotten = around.sandbox_dir and Forgotten(
            around.sandbox_dir, dataplane, clock, around.sandbox_grace_s
        )
        attacher = Attacher(
            dataplane,
            self._node,
            self._registry,
            self._removals,
            self._labels,
            Clocks(monotonic=clock, wall=wall_clock),
        )
        self._pod_links = PodLinkCalls(
            attacher, dataplane, self._node, self._registry, self._removals
        )
        self._lease_calls = LeaseCalls(self._node, self._leases, wall_clock)

    @property
    def pending(self) -> int:
        """Return how many removals are under way."""
        return self._removals.pending

    @property
    def repair_in_s(self) -> float | None:
        """Return after how many seconds ``repair`` has something to do; None: not by itself."""
        return self._repairs.due_in_s

    def rebuild(self) -> tuple[Unfinished, ...]:
        """Learn the attachments from the kernel; return the links that are none, to be removed.

        What the attachments lack is put back.
        """
        self.refresh()
        unfinished: list[Unfinished] = []
        links = self._dataplane.observe()
        self._dataplane.hold_to_sources(links)
        # Of two with the same address, the one that packets are sent to has it.
        for observed in sorted(links, key=lambda each: not each.routes):
            found = classify(observed)
            if isinstance(found, Attachment):
                try:
                    self._node.addressing.take(found.key, found.addresses)
                    self._registry.add(found)
                    continue
                except (AddressTakenError, ValueError) as error:
                    found = Unfinished(index=observed.index, link=observed.name, reason=str(error))
            log.warning("unfinished link", extra={"link": found.link, "reason": found.reason})
            unfinished.append(found)
        self._leases.rebuild()
        self._labels.keep_only({attachment.link for attachment in self._registry})
        log.info(
            "attachments found", extra={"count": len(self._registry), "leases": len(self._leases)}
        )
        self._repairs.request_all()
        self.repair()
        return tuple(unfinished)

    def refresh(self) -> None:
        """Follow the node facts, if they changed."""
        self._node.refresh()

    def sweep(self) -> None:
        """End what belongs to sandboxes that are gone, or that their runtime has forgotten."""
        self._swept += self._lease_calls.sweep()
        self._repairs.sweep()
        for index in self._forgotten.take() if self._forgotten else ():
            attachment = self._registry.at(index)
            if attachment is not None:
                log.warning("sandbox forgotten by the runtime", extra=attachment_fields(attachment))
                self._being_swept.add(index)
                self._removals.begin(attachment)

    def handle(self, request: Request, caller: Caller) -> None:
        """Carry out a call; the caller is answered now or later, exactly once."""
        if request.door is Door.OPERATOR:
            self._tell(caller)
            return
        caller = self._meter.watch(caller, request.door, request.variables.get("CNI_COMMAND", ""))
        decoded = decode_request(request)
        try:
            if is_version_command(decoded):
                caller.answer(0, version_result(decoded.version_text))
                return
            call = check_call(decoded)
            if request.door is Door.IPAM:
                self._lease_calls.handle(call, caller)
            else:
                self._pod_links.handle(call, caller)
        except Exception as error:
            variables = request.variables
            what = f"{variables.get('CNI_COMMAND', '')} {variables.get('CNI_CONTAINERID', '')}"
            refuse(caller, error, decoded.version_text, what)

    def flush(self) -> None:
        """Send the removals that calls of this round began."""
        self._removals.flush()

    @property
    def may_rest(self) -> bool:
        """Return whether ``rest`` has something to do."""
        return self._labels.waiting

    def rest(self) -> None:
        """Do a little of what nobody waits for."""
        self._labels.rest()

    def collect(self) -> None:
        """Take note of what the kernel tells; links that were disturbed are repaired at once."""
        for event in self._dataplane.collect():
            self.note(event)
        self.repair()

    def note(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, Gone):
            self._removals.on_gone(event)
        elif isinstance(event, AddressesChanged):
            self._repairs.on_addresses(event.addresses)
        else:
            self._repairs.request(event.index)

    def repair(self) -> None:
        """Put back what pod links lack on the node's end, as far as it is time to."""
        self._repairs.run()

    def _forget(self, attachment: Attachment) -> None:
        self._node.addressing.release(attachment.addresses)
        self._labels.drop(attachment.link)
        if attachment.index in self._being_swept:
            self._being_swept.remove(attachment.index)
            self._swept += 1

    def _tell(self, caller: Caller) -> None:
        routes = self._dataplane.host_routes()
        overview = Overview(
            attachments=tuple(self._registry),
            leases=tuple(self._leases),
            labels=self._labels.each(),
            orphans=frozenset(address for address, _ in self._node.addressing.orphans()),
            pools=self._node.addressing.pools(),
            unrouted=frozenset() if routes is None else unrouted(self._registry, routes),
            restored=self._repairs.restored,
            restore_failures=self._repairs.failures,
            swept=self._swept,
            calls=self._meter.as_json(),
            lacking=self._lacking,
            filter_problem=self._dataplane.filter_problem(),
        )
        caller.answer(0, overview.render())
