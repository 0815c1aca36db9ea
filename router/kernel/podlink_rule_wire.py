"""Rules in a sandbox with a default route of its own, as rtnetlink messages (ADR 0027). PURE.

Layouts: include/uapi/linux/fib_rules.h.
"""

from __future__ import annotations

import struct
from typing import Final

from cni.attachment.plan import Address
from router.kernel.message import NLM_F_CREATE, NLM_F_EXCL, attribute, message, u8, u32
from router.kernel.protocols import RouteProtocol

_FAMILY: Final = {4: 2, 6: 10}
_HOST_LENGTH: Final = {4: 32, 6: 128}
_RT_TABLE_COMPAT: Final = 252
"""In the header, where the number stands in an attribute."""
_RTM_NEWRULE: Final = 32
_RTM_DELRULE: Final = 33
_FRA_SRC: Final = 2
_FRA_PRIORITY: Final = 6
_FRA_TABLE: Final = 15
_FRA_PROTOCOL: Final = 21
_FR_ACT_TO_TBL: Final = 1
_RULE_PRIORITY: Final = 1000
"""Anywhere before the main table's, 32766."""
_FIB_RULE_HDR: Final = struct.Struct("=BBBBBBBBI")
"""family, dst_len, src_len, tos, table, reserved, reserved, action, flags."""


def add_rule(address: Address, table: int) -> bytes:
    """Return the rule that what comes from this address looks up the table; never replaces one."""
    return _rule(_RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, address, table)


def delete_rule(address: Address, table: int) -> bytes:
    """Return the removal of a rule that ``AddSourceRule`` made."""
    return _rule(_RTM_DELRULE, 0, address, table)


def _rule(kind: int, flags: int, address: Address, table: int) -> bytes:
    family = _FAMILY[address.version]
    return message(
        kind,
        flags,
        _FIB_RULE_HDR.pack(
            *(family, 0, _HOST_LENGTH[address.version], 0, _RT_TABLE_COMPAT, 0, 0),
            *(_FR_ACT_TO_TBL, 0),
        ),
        attribute(_FRA_SRC, address.packed),
        u32(_FRA_PRIORITY, _RULE_PRIORITY),
        u32(_FRA_TABLE, table),
        u8(_FRA_PROTOCOL, RouteProtocol.POD),
    )
