"""Addresses of Services: what is known of them, and what this node announces of it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final

from bgp.nlri import Prefix
from router.agent.circumstances import Circumstances
from router.agent.service_file import Remembered, ServiceMemory
from router.config.settings import AgentSettings
from router.model.service import Services
from router.reconcile.service_aggregates import Grouping, Replacing, group
from router.reconcile.services import Deciding, Decision, ServiceSettings

PATIENCE_S: Final = 30.0
"""How long the first announcement waits for the API at most, after a restart of the agent: ToRs
keep what the agent before us announced for the restart time, and drop with End-of-RIB what was not
announced again. Half the restart time is the other bound; and a node that has just booted does
not wait at all: the way to the API may be what it is to announce."""

_NONE: Final = Services()


class Serving:
    """What the API says of Services, decided on; empty while nothing is wanted.

    Without the API's answer it is what an agent before us announced: kube-proxy, too, goes on with
    what it heard last.
    """

    def __init__(self, circumstances: Circumstances, memory: ServiceMemory, *, now: float) -> None:
        """Know nothing yet."""
        self._deciding = Deciding()
        self._began = now
        self._longest_s = PATIENCE_S if circumstances.resumed else 0.0
        self._patience_s = 0.0
        self._has_api = circumstances.expects_pod_cidrs
        self._memory = memory
        self._remembered: Remembered | None = None
        """None before it was asked for."""
        self.services = Services()
        """What the API said last; set from outside."""
        self.grouping = Grouping()
        """How the addresses are announced."""
        self._replacing = Replacing()
        self._given: tuple[object, ...] = ()
        self._aim: tuple[frozenset[Prefix], frozenset[Prefix]] = frozenset(), frozenset()
        """What `Replacing` is asked for, made of `_given`: with thousands of addresses it takes
        longer than the rest of a turn of the loop."""
        self._is_wanted = False
        self._wanted = ServiceSettings()

    def decide(self, settings: AgentSettings) -> bool:
        """Follow what is known and wanted now; return whether there are other addresses."""
        before = self.addresses
        wanted, reserved = settings.services, settings.reserved()
        self._is_wanted = wanted.is_wanted and self._has_api
        self._patience_s = min(self._longest_s, settings.graceful_restart_s / 2)
        known = self.services if self._is_wanted else _NONE
        is_new = self._deciding.take(known, wanted, reserved)
        if known.is_known:
            self._remembered = Remembered()
            found = Remembered(self._deciding.announced, self._deciding.everywhere)
            self._memory.save(wanted, found)
        elif not self._is_wanted:
            self._remembered = Remembered()
        elif self._remembered is None or wanted != self._wanted:
            found = self._memory.load(wanted)
            self._remembered = found.only(lambda host: not reserved.why_not(host))
            is_new = True
        if is_new:
            usable = self._usable
            around = reserved.surroundings(self._deciding.elsewhere)
            self.grouping = group(usable.announced, usable.everywhere, wanted.aggregate, around)
        self._wanted = wanted
        return self.addresses != before

    @property
    def _usable(self) -> Remembered:
        if self.services.is_known or not self._is_wanted:
            return Remembered(self._deciding.announced, self._deciding.everywhere)
        return self._remembered or Remembered()

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Return every address of the kinds asked for, sorted."""
        return self._deciding.all

    @property
    def remembered(self) -> frozenset[Prefix]:
        """Return what an agent before us announced, while the API has not answered."""
        return (self._remembered or Remembered()).announced

    @property
    def addresses(self) -> frozenset[Prefix]:
        """Return what some node may announce, and none shall learn."""
        return self._deciding.addresses | self.remembered

    @property
    def aggregates(self) -> frozenset[Prefix]:
        """Return what stands for several addresses once its unused ones are rejected."""
        return self.grouping.aggregates

    @property
    def prefixes(self) -> frozenset[Prefix]:
        """Return all that is announced for Services' sake: addresses and aggregates."""
        return self.addresses | self.grouping.aggregates

    def announced_by(self, address: Prefix, networks: Set[Prefix]) -> Prefix | None:
        """Return which of the announced networks brings packets for an address, if any."""
        if address in networks:
            return address
        aggregate = self.grouping.covered.get(address)
        return aggregate if aggregate in networks else None

    def is_waiting(self, now: float) -> bool:
        """Tell whether a start still waits for the API: nothing is announced meanwhile."""
        if not self._is_wanted or self.services.is_known:
            return False
        return now < self._began + self._patience_s

    def announced(
        self,
        now: float,
        rejected: frozenset[Prefix] = frozenset(),
        is_acknowledged: Callable[[], bool] = lambda: True,
    ) -> frozenset[Prefix] | None:
        """Return what this node shall announce; None while a start has to wait for the API.

        `rejected` are aggregates whose unused addresses are rejected; `is_acknowledged`: the peers
        have what was returned last.
        """
        if self.is_waiting(now):
            return None
        usable, keep_single = self._usable.announced, self._wanted.aggregate.keep_single
        given = usable, self.grouping, rejected, keep_single
        if given != self._given:
            wanted = self.grouping.networks(rejected, keep_single=keep_single)
            self._aim = wanted, usable | (self.grouping.aggregates & rejected)
        self._given = given
        return self._replacing.networks(*self._aim, is_acknowledged=is_acknowledged)
