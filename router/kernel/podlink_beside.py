"""Give a sandbox that has a default route a second way out (ADR 0027). SHELL."""

from __future__ import annotations

from collections.abc import Collection

from cni.attachment.plan import Address, AddSourceRule, PodLinkPlan, plan_beside
from router.kernel import podlink_rule_wire as rule_wire
from router.kernel import podlink_wire as wire
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.podlink_check import addresses_of, rules_of


def add_beside(pod: Channel, plan: PodLinkPlan, versions: Collection[int], index: int) -> None:
    """Let what the pod sends from the plan's addresses leave by this link. Raises KernelError.

    The link's index, the same on both ends and the node's only one, is the number of the table.
    """
    operations = plan_beside(plan, versions, index)
    new = {each.address for each in operations if isinstance(each, AddSourceRule)}
    _remove_leftovers(pod, versions, new)
    for failure in pod.batch([wire.pack(operation, index) for operation in operations]):
        raise KernelError(failure.errno, operations[failure.index].describe(), failure.detail)


def _remove_leftovers(pod: Channel, versions: Collection[int], new: Collection[Address]) -> None:
    """Remove our rules for addresses that left: unlike routes, rules stay when a link goes.

    And those for addresses that are only coming: theirs is a former link's, whose index may even
    be this one's, since a server that starts counts on from the links there are.
    """
    present = {address for _, address in addresses_of(pod)}.difference(new)
    leftovers = [
        rule_wire.delete_rule(address, table)
        for version in versions
        for address, table in rules_of(pod, version)
        if address not in present
    ]
    if leftovers:
        # One that is gone meanwhile is as good.
        pod.batch(leftovers)
