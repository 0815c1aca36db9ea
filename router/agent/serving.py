"""Addresses of Services: what is known of them, and what this node announces of it."""

from __future__ import annotations

from typing import Final

from bgp.nlri import Prefix
from router.agent.circumstances import Circumstances
from router.agent.service_file import ServiceMemory
from router.config.settings import AgentSettings
from router.model.service import Services
from router.reconcile.services import Deciding, Decision, ServiceSettings

PATIENCE_S: Final = 30.0
"""How long the first announcement waits for the API at most, after a restart of the agent: ToRs
keep what the agent before us announced for the restart time, and drop with End-of-RIB what was not
announced again. Half the restart time is the other bound; and a node that has just booted does
not wait at all: the way to the API may be what it is to announce."""


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
        self._remembered: frozenset[Prefix] | None = None
        """None before it was asked for."""
        self.services = Services()
        """What the API said last; set from outside."""
        self._is_wanted = False
        self._wanted = ServiceSettings()

    def decide(self, settings: AgentSettings) -> bool:
        """Follow what is known and wanted now; return whether there are other addresses."""
        before = self.addresses
        wanted, reserved = settings.services, settings.reserved()
        self._is_wanted = wanted.is_wanted and self._has_api
        self._patience_s = min(self._longest_s, settings.graceful_restart_s / 2)
        known = self.services if self._is_wanted else Services()
        self._deciding.take(known, wanted, reserved)
        if known.is_known:
            self._remembered = frozenset()
            self._memory.save(wanted, self._deciding.announced)
        elif not self._is_wanted:
            self._remembered = frozenset()
        elif self._remembered is None or wanted != self._wanted:
            found = self._memory.load(wanted)
            self._remembered = frozenset(host for host in found if not reserved.why_not(host))
        self._wanted = wanted
        return self.addresses != before

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Return every address of the kinds asked for, sorted."""
        return self._deciding.all

    @property
    def remembered(self) -> frozenset[Prefix]:
        """Return what an agent before us announced, while the API has not answered."""
        return self._remembered or frozenset()

    @property
    def addresses(self) -> frozenset[Prefix]:
        """Return what some node may announce, and none shall learn."""
        return self._deciding.addresses | self.remembered

    def announced(self, now: float) -> frozenset[Prefix] | None:
        """Return what this node shall announce; None while a start has to wait for the API."""
        if not self._is_wanted or self.services.is_known:
            return self._deciding.announced
        return None if now < self._began + self._patience_s else self.remembered
