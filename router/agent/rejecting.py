"""Keep rejecting unused addresses of what is announced for Services in one piece (invariant 6).

In place before an aggregate is announced, and until its withdrawal is acknowledged. Whoever changes
nf_tables makes us look; a look costs half a millisecond, so it is made once a second at most.
"""

from __future__ import annotations

import logging
from collections.abc import Set
from typing import Final, Protocol

from bgp.nlri import Prefix
from router.model.aggregate import Rejections
from router.reconcile.rejections import RejectionPlan, plan_rejections

_log = logging.getLogger(__name__)
_LOOK_S: Final = 1.0
_RESYNC_S: Final = 30.0


class RejectionShell(Protocol):
    """What is needed of the kernel; `router.kernel.service_filter` has the real one."""

    @property
    def problem(self) -> str:
        """Why nothing can be rejected here; "" if it can."""

    def was_disturbed(self) -> bool:
        """Tell whether somebody else changed nf_tables since the last call."""

    def observe(self) -> Rejections:
        """Return what is there of our table."""

    def apply(self, plan: RejectionPlan) -> None:
        """Carry out a plan: all of it, or nothing."""


class NoRejections:
    """For an agent without nf_tables: aggregates are not announced."""

    problem = "nothing is rejected here"

    def was_disturbed(self) -> bool:
        """Never."""
        return False

    def observe(self) -> Rejections:
        """There is nothing."""
        return Rejections()

    def apply(self, plan: RejectionPlan) -> None:
        """Nothing can be done."""


class Rejecting:
    """Level-triggered: calling `step` twice changes nothing."""

    def __init__(self, shell: RejectionShell) -> None:
        """Look at nothing yet."""
        self._shell = shell
        self._found: Rejections | None = None
        self._asked: tuple[frozenset[Prefix], bool] = frozenset(), False
        self._is_disturbed = False
        self._looked_at = 0.0
        self.repairs = 0
        """How often the table was not as we had left it."""

    @property
    def problem(self) -> str:
        """Why nothing can be rejected here; "" if it can."""
        return self._shell.problem

    @property
    def present(self) -> frozenset[Prefix]:
        """Return what is in place, by the last look."""
        return self._found.prefixes if self._found is not None else frozenset()

    @property
    def packets(self) -> int:
        """How many packets were rejected, by the last look."""
        return self._found.packets if self._found is not None else 0

    def protects(self, wanted: Set[Prefix]) -> frozenset[Prefix]:
        """Return those of these prefixes whose unused addresses are rejected."""
        exact = self.present & wanted
        # The others are few: those inside a prefix that is on its way out.
        inside = (p for p in wanted - exact if any(q.covers(p) for q in self.present))
        return exact.union(inside)

    def step(self, wanted: frozenset[Prefix], *, keep_found: bool, now: float) -> None:
        """Make the table say this; with `keep_found`, what a run before us left stays, too.

        Raises KernelError; what was in place is taken to be there until a look says otherwise.
        """
        self._is_disturbed |= self._shell.was_disturbed()
        since_s = now - self._looked_at
        # kube-proxy may change its own all the time, while nothing of it is ours.
        matters = bool(wanted) or self._found is None or self._found.exists
        is_due = since_s >= (_LOOK_S if self._is_disturbed and matters else _RESYNC_S)
        if self._found is not None and self._asked == (wanted, keep_found) and not is_due:
            return
        found = self._shell.observe()
        self._looked_at, self._is_disturbed = now, False
        plan = plan_rejections(found, wanted | found.prefixes if keep_found else wanted)
        if not plan.is_empty:
            self._shell.apply(plan)
            self.repairs += self._found is not None and _differ(self._found, found)
            _log.info("unused addresses of Services", extra={"what": plan.describe()})
            found = self._shell.observe()
        self._found, self._asked = found, (wanted, keep_found)


def _differ(left: Rejections, found: Rejections) -> bool:
    """Tell whether somebody has changed what we had left."""
    return (left.is_whole, left.prefixes) != (found.is_whole, found.prefixes)
