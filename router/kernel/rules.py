"""Our routing rules (include/uapi/linux/fib_rules.h). SHELL: translates, calls, translates back."""

from __future__ import annotations

import errno
import struct
from typing import Final

from bgp.nlri import IPV4, IPV6
from router.kernel.channel import Channel
from router.kernel.errors import KernelError
from router.kernel.fib import FibTable
from router.kernel.message import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    attributes,
    get_u32,
    message,
    u8,
    u32,
)
from router.kernel.protocols import RouteProtocol
from router.model.place import Rule
from router.reconcile.rules import RulePlan

_RTM_NEWRULE: Final = 32
_RTM_DELRULE: Final = 33
_RTM_GETRULE: Final = 34
_FRA_PRIORITY: Final = 6
_FRA_TABLE: Final = 15
_FRA_PROTOCOL: Final = 21
_FR_ACT_TO_TBL: Final = 1
_HEADER: Final = struct.Struct("=BBBBBBBBI")
"""family, dst_len, src_len, tos, table, reserved, reserved, action, flags."""
_AF: Final = {IPV4: 2, IPV6: 10}


class RuleTable:
    """The rules of the namespace that the channel was opened in; only those with our mark."""

    def __init__(self, channel: Channel) -> None:
        """Use an open channel; closing it stays the caller's duty."""
        self._channel = channel

    def observe(self) -> frozenset[Rule]:
        """Return our rules. Raises KernelError."""
        found = set()
        for family, number in _AF.items():
            request = message(_RTM_GETRULE, NLM_F_DUMP, _HEADER.pack(number, *[0] * 8))
            for _, payload in self._channel.dump(request, f"list IPv{family} rules"):
                seen = attributes(payload, _HEADER.size)
                if seen.get(_FRA_PROTOCOL, b"\0")[0] == RouteProtocol.LEARNED:
                    priority = get_u32(seen[_FRA_PRIORITY]) if _FRA_PRIORITY in seen else 0
                    found.add(Rule(family, priority, get_u32(seen[_FRA_TABLE])))
        return frozenset(found)

    def apply(self, plan: RulePlan) -> None:
        """Carry out a plan; what is as wanted already counts as done. Raises KernelError."""
        for rule in plan.add:
            flags = NLM_F_CREATE | NLM_F_EXCL
            self._do(_pack(_RTM_NEWRULE, flags, rule), f"add {rule.describe()}", errno.EEXIST)
        for rule in plan.remove:
            self._do(_pack(_RTM_DELRULE, 0, rule), f"delete {rule.describe()}", errno.ENOENT)

    def _do(self, request: bytes, what: str, fine: int) -> None:
        try:
            self._channel.request(request, what)
        except KernelError as error:
            if error.errno != fine:
                raise


class OwnTable:
    """Rules, and the routes that they lead to, as `router.agent.placing` needs them."""

    def __init__(self, rules: RuleTable, fib: FibTable) -> None:
        """Use both."""
        self._rules = rules
        self._fib = fib

    def observe(self) -> frozenset[Rule]:
        """Return our rules. Raises KernelError."""
        return self._rules.observe()

    def apply(self, plan: RulePlan) -> None:
        """Carry out a plan. Raises KernelError."""
        self._rules.apply(plan)

    def remove_elsewhere(self) -> int:
        """See `FibTable.remove_elsewhere`. Raises KernelError."""
        return self._fib.remove_elsewhere()


def _pack(kind: int, flags: int, rule: Rule) -> bytes:
    return message(
        kind,
        flags,
        _HEADER.pack(_AF[rule.family], 0, 0, 0, rule.table, 0, 0, _FR_ACT_TO_TBL, 0),
        u32(_FRA_PRIORITY, rule.priority),
        u32(_FRA_TABLE, rule.table),
        u8(_FRA_PROTOCOL, RouteProtocol.LEARNED),
    )
