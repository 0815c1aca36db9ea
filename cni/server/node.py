"""What every call needs to know of the node: ready or not, MTU, source addresses, pools. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.plan import Address
from cni.ipam.pool import Network
from cni.node_facts import NodeFacts
from cni.server.addressing import ANY, Addressing, Wish
from cni.server.dataplane import Dataplane
from cni.server.facts import FactsFile
from cni.spec.errors import CniError, NotAvailableError, TryAgainLaterError

log = logging.getLogger(__name__)

FALLBACK_MTU: Final = 1500


class Node:
    """The node facts in force, and the addresses that follow from them."""

    def __init__(
        self, dataplane: Dataplane, facts_file: FactsFile, clock: Callable[[], float]
    ) -> None:
        self._dataplane = dataplane
        self._facts_file = facts_file
        self._sources_complete = False
        self.sources = Addresses()
        self.addressing = Addressing(clock)

    @property
    def pod_cidrs(self) -> tuple[Network, ...]:
        """Return the node's pod CIDRs, none while they are not known."""
        facts = self._facts_file.facts
        return () if facts is None else facts.pod_cidrs

    def refresh(self) -> None:
        """Follow the node facts, if they changed."""
        facts_file = self._facts_file
        changed = facts_file.refresh()
        if facts_file.facts is None or not (changed or not self._sources_complete):
            return
        if changed:
            self.addressing.follow(facts_file.facts)
            log.info("node facts read", extra={"generation": facts_file.facts.generation})
        self._look_for_sources(facts_file.facts)

    def follow_addresses(self, changed: Iterable[Address]) -> bool:
        """Follow addresses that came or left; return whether a node address may be among them.

        None named: any may be.
        """
        facts = self._facts_file.facts
        named = set(changed)
        if facts is None or (named and named.isdisjoint(facts.node_addresses)):
            return False
        self._look_for_sources(facts)
        return True

    def _look_for_sources(self, facts: NodeFacts) -> None:
        self.sources = preferred_sources(facts, self._dataplane.local_addresses())
        self._sources_complete = self.sources == preferred_sources(facts, None)

    def ready_mtu(self, configured: int | None = None) -> int:
        """Return the pods' MTU in bytes; raise TryAgainLaterError while the node is not ready."""
        self.refresh()
        facts = self._facts_file.facts
        if facts is None:
            raise TryAgainLaterError(self._facts_file.problem)
        if not facts.ready:
            raise TryAgainLaterError(f"the node is not ready: {facts.reason}")
        return configured or facts.mtu or FALLBACK_MTU

    def require_available(self, wish: Wish = ANY) -> None:
        """Raise NotAvailableError, with the reason, if an ADD would fail now."""
        try:
            self.ready_mtu()
            self.addressing.require_room(wish)
        except CniError as error:
            raise NotAvailableError(error.detail) from None


def preferred_sources(facts: NodeFacts, local: Collection[Address] | None) -> Addresses:
    """Return the node's address per family for traffic of its own to pods.

    The first node address that is local: the kernel refuses a route that prefers another as its
    source (fib_check_nh and ip6_route_info_create: EINVAL). ``local`` None means "all of them".
    """
    return Addresses.of(each for each in facts.node_addresses if local is None or each in local)
