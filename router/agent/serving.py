"""Addresses of Services: what is known of them, and what this node announces of it."""

from __future__ import annotations

from typing import Final

from bgp.nlri import Prefix
from router.config.settings import AgentSettings
from router.model.service import Services
from router.reconcile.services import Deciding, Decision

PATIENCE_S: Final = 30.0
"""How long the first announcement waits for the API: ToRs keep what an agent before us announced
for the restart time, 120 s by default, and drop with End-of-RIB what was not announced again."""


class Serving:
    """What the API says of Services, decided on; empty while nothing is wanted."""

    def __init__(self, *, now: float, expects_services: bool) -> None:
        """Know nothing yet; without an API server there is nothing to wait for."""
        self._deciding = Deciding()
        self._patient_until = now + PATIENCE_S if expects_services else now
        self.services = Services()
        """What the API said last; set from outside."""
        self._is_wanted = False

    def decide(self, settings: AgentSettings) -> bool:
        """Follow what is known and wanted now; return whether there are other addresses."""
        before = self.addresses
        wanted = settings.services
        self._is_wanted = wanted.is_wanted
        self._deciding.take(
            self.services if self._is_wanted else Services(), wanted, settings.reserved()
        )
        return self.addresses != before

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """Return every address of the kinds asked for, sorted."""
        return self._deciding.all

    @property
    def addresses(self) -> frozenset[Prefix]:
        """Return what some node may announce, and none shall learn."""
        return self._deciding.addresses

    def announced(self, now: float) -> frozenset[Prefix] | None:
        """Return what this node shall announce; None while a start has to wait for the API."""
        if self._is_wanted and not self.services.is_known and now < self._patient_until:
            return None
        return self._deciding.announced
