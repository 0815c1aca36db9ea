"""Pod links that lack something on the node's end, until they lack it no more. No I/O of its own.

Whatever may have taken something from a link only asks for a comparison; what the kernel refuses is
tried again every ``RETRY_S``, since nothing may tell when it would be accepted. Nothing here ever
removes a link (ADR 0028).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from cni.attachment.plan import Address, LinkSettings, PodLinkPlan, plan_pod_link
from cni.server.dataplane import Dataplane
from cni.server.node import Node
from cni.server.registry import Registry

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5


class Repairs:
    """Which links are to be compared with their plans, and when again."""

    def __init__(
        self, registry: Registry, dataplane: Dataplane, node: Node, clock: Callable[[], float]
    ) -> None:
        """``clock`` is monotonic, in seconds."""
        self._registry = registry
        self._dataplane = dataplane
        self._node = node
        self._clock = clock
        self._sources = node.sources
        self._due: set[int] = set()
        self._refused: dict[int, str] = {}
        self._sourceless: frozenset[int] = frozenset()
        self._retry_at_s = 0.0
        self.restored = 0
        """Routes and neighbors put back since the start."""
        self.failures = 0
        """Attempts that the kernel refused, wholly or in part, since the start; one per link."""

    def request(self, index: int) -> None:
        """Have a link compared by the next ``run``."""
        self._due.add(index)

    def request_all(self) -> None:
        """Have every link compared by the next ``run``."""
        self._due.update(attachment.index for attachment in self._registry)

    def on_addresses(self, addresses: Iterable[Address]) -> None:
        """Take note that addresses came or left; none named: any may have.

        With a preferred source IPv4 routes leave, silently before Linux 6.7, and IPv6 routes lose
        it, always silently (fib_sync_down_addr, rt6_remove_prefsrc). One that is back again
        already looks as if nothing had been.
        """
        if self._node.follow_addresses(addresses):
            self.request_all()

    def sweep(self) -> None:
        """Try again to give routes the preferred source that the kernel refused."""
        self._due.update(self._sourceless)

    @property
    def due_in_s(self) -> float | None:
        """Return after how many seconds ``run`` has something to do; None: not by itself."""
        if self._due or self._node.sources != self._sources:
            return 0.0
        return max(0.0, self._retry_at_s - self._clock()) if self._refused else None

    def run(self) -> None:
        """Compare the links that are due with their plans, and put back what is missing."""
        if self._node.sources != self._sources:
            self._sources = self._node.sources
            self.request_all()
        if self._refused and self._clock() >= self._retry_at_s:
            self._due.update(self._refused)
        if self._due:
            due, self._due = self._due, set()
            self._restore(due)

    def _restore(self, due: set[int]) -> None:
        plans = {index: plan for index in sorted(due) if (plan := self._plan(index)) is not None}
        outcome = self._dataplane.restore(plans)
        for index, what in outcome.restored:
            log.warning("restored", extra={"link": self._name(index), "what": what})
        for index, error in outcome.refused.items():
            # Once: it is tried every half second.
            if self._refused.get(index) != error:
                extra = {"link": self._name(index), "error": error}
                log.warning("cannot restore, trying again", extra=extra)
        self.restored += len(outcome.restored)
        self.failures += len(outcome.refused)
        others = {index: error for index, error in self._refused.items() if index not in due}
        self._refused = others | dict(outcome.refused)
        self._sourceless = (self._sourceless - due) | outcome.sourceless
        self._retry_at_s = self._clock() + RETRY_S

    def _plan(self, index: int) -> PodLinkPlan | None:
        attachment = self._registry.at(index)
        if attachment is None or self._registry.is_removing(attachment):
            return None
        settings = LinkSettings(mtu=0, sources=self._sources)
        return plan_pod_link(attachment.key, attachment.addresses, settings)

    def _name(self, index: int) -> str:
        attachment = self._registry.at(index)
        return str(index) if attachment is None else attachment.link
