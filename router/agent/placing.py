"""Keep the rule that leads to our routing table, and leave nothing in another one.

Rules and routes of another setting stay while the routes found at start may still be needed
(invariant 7); a rule that somebody takes away is put back at the next look.
"""

from __future__ import annotations

import logging
from typing import Protocol

from router.model.place import MAIN, Place, Rule
from router.reconcile.rules import RulePlan, plan_rules

_log = logging.getLogger(__name__)


class PlaceShell(Protocol):
    """What is needed of the kernel; `router.kernel.rules.OwnTable` is the real one."""

    def observe(self) -> frozenset[Rule]:
        """Return the rules with our mark."""

    def apply(self, plan: RulePlan) -> None:
        """Carry out a plan."""

    def remove_elsewhere(self) -> int:
        """Remove learned routes from tables where they do not belong."""


class NoRules:
    """Knows no rules: for an agent whose routes are in the main table and always were."""

    def observe(self) -> frozenset[Rule]:
        """There are none."""
        return frozenset()

    def apply(self, plan: RulePlan) -> None:
        """Nothing can be done."""

    def remove_elsewhere(self) -> int:
        """There is nothing."""
        return 0


class Placing:
    """The place of one run: a change of it needs a restart."""

    def __init__(self, shell: PlaceShell, place: Place) -> None:
        """Look at nothing yet."""
        self._shell = shell
        self._place = place
        self._tidied = False
        self._distrusted = True

    def distrust(self) -> None:
        """Look at the rules in the next step: somebody may have changed them."""
        self._distrusted = True

    def step(self, *, keep_others: bool) -> None:
        """Make the rules as they should be; `keep_others` while old routes stay.

        To be called when the routes are where they belong. Raises KernelError.
        """
        tidying = not keep_others and not self._tidied
        if not (self._distrusted or tidying):
            return
        found = self._shell.observe()
        plan = plan_rules(found, self._place, keep_others=keep_others)
        self._shell.apply(plan)
        for verb, rules in (("added", plan.add), ("removed", plan.remove)):
            for rule in rules:
                _log.info("routing rule", extra={"what": verb, "rule": rule.describe()})
        if tidying:
            # A table of our own leaves its rule; the main table leaves nothing to tell.
            if plan.remove or self._place != MAIN:
                self._shell.remove_elsewhere()
            self._tidied = True
        self._distrusted = False
