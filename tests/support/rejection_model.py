"""nf_tables as far as our table of unused Services' addresses goes."""

from __future__ import annotations

from router.model.aggregate import Rejections
from router.reconcile.rejections import RejectionPlan


class RejectionModel:
    """Tests may take the table away, or the whole of nf_tables."""

    def __init__(self) -> None:
        self.problem = ""
        self.table = Rejections()
        self.disturbed = False
        self.plans: list[RejectionPlan] = []

    def was_disturbed(self) -> bool:
        disturbed, self.disturbed = self.disturbed, False
        return disturbed

    def observe(self) -> Rejections:
        return self.table

    def apply(self, plan: RejectionPlan) -> None:
        self.plans.append(plan)
        if self.problem:
            return
        before = frozenset() if plan.remove_table else self.table.prefixes
        exists = plan.make_table or (self.table.exists and not plan.remove_table)
        prefixes = before.union(plan.add) - frozenset(plan.remove)
        self.table = Rejections(exists=exists, is_whole=exists, prefixes=prefixes)

    def flush(self) -> None:
        """Do what somebody's `nft flush ruleset` does."""
        self.table, self.disturbed = Rejections(), True
