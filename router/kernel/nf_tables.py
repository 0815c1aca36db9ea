"""nf_tables in netlink messages: what our tables have in common. PURE.

Layouts: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h; numbers are in network order there.
All tables are of family inet.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from typing import Final

from router.kernel.message import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_DUMP,
    attribute,
    attributes,
    message,
    nested,
    text,
)

NETLINK_NETFILTER: Final = 12
NOT_THERE: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.EINVAL})
"""What a kernel answers without the table, without nf_tables, or without a part of it."""
_SUBSYSTEM: Final = 10 << 8
NEW_TABLE: Final = _SUBSYSTEM | 0
_GET_TABLE: Final = _SUBSYSTEM | 1
_DELETE_TABLE: Final = _SUBSYSTEM | 2
NEW_CHAIN: Final = _SUBSYSTEM | 3
_GET_CHAIN: Final = _SUBSYSTEM | 4
_NEW_RULE: Final = _SUBSYSTEM | 6
_GET_RULE: Final = _SUBSYSTEM | 7
NEW_SET: Final = _SUBSYSTEM | 9
NEW_ELEMENT: Final = _SUBSYSTEM | 12
GET_ELEMENT: Final = _SUBSYSTEM | 13
DELETE_ELEMENT: Final = _SUBSYSTEM | 14
NEW_GENERATION: Final = _SUBSYSTEM | 15
NFNLGRP_NFTABLES: Final = 7

NFPROTO: Final = {4: 2, 6: 10}
_NFPROTO_UNSPEC: Final = 0
_NFPROTO_INET: Final = 1
NFGENMSG: Final = struct.Struct("!BBH")
BE32: Final = struct.Struct("!I")
BE32_SIGNED: Final = struct.Struct("!i")
HOST32: Final = struct.Struct("=I")
_BE64: Final = struct.Struct("!Q")
_NLM_F_APPEND: Final = 0x800

NF_DROP: Final = 0
NF_ACCEPT: Final = 1
NFT_GOTO: Final = -4
_VERDICT_REGISTER: Final = 0
REGISTER: Final = 8
NEXT_REGISTER: Final = 9
"""NFT_REG32_00 and NFT_REG32_01: four bytes each, side by side."""

META_NFPROTO: Final = 15
META_L4PROTO: Final = 16
NETWORK_HEADER: Final = 1
TRANSPORT_HEADER: Final = 2
COMPARE_EQUAL: Final = 0
_COMMENT: Final = 0
"""NFTNL_UDATA_RULE_COMMENT, what nft(8) shows of a rule's user data."""

BEGIN: Final = message(16, 0, NFGENMSG.pack(_NFPROTO_UNSPEC, 0, 10))
END: Final = message(17, 0, NFGENMSG.pack(_NFPROTO_UNSPEC, 0, 10))
"""NFNL_MSG_BATCH_BEGIN and _END, for subsystem NFNL_SUBSYS_NFTABLES."""

HEADER: Final = NFGENMSG.pack(_NFPROTO_INET, 0, 0)


def be32(kind: int, value: int) -> bytes:
    """Return an attribute of 32 bits."""
    return attribute(kind, BE32.pack(value))


# Tables and chains


def create_table(table: str) -> bytes:
    """Return the making of a table; one that is there is fine."""
    return message(NEW_TABLE, NLM_F_CREATE, HEADER, text(1, table))


def delete_table(table: str) -> bytes:
    """Return the removal of a table with all that is in it."""
    return message(_DELETE_TABLE, 0, HEADER, text(1, table))


def get_table(table: str) -> bytes:
    """Return the request for a table, acknowledged."""
    return message(_GET_TABLE, NLM_F_ACK, HEADER, text(1, table))


def create_chain(table: str, chain: str) -> bytes:
    """Return the making of a chain that others jump to."""
    return message(NEW_CHAIN, NLM_F_CREATE, HEADER, text(1, table), text(3, chain))


def create_base_chain(table: str, chain: str, hook: int, priority: int) -> bytes:
    """Return the making of a filter chain at a hook, accepting what no rule drops."""
    return message(
        *(NEW_CHAIN, NLM_F_CREATE, HEADER, text(1, table), text(3, chain)),
        nested(4, be32(1, hook), attribute(2, BE32_SIGNED.pack(priority))),
        be32(5, NF_ACCEPT),
        text(7, "filter"),
    )


def list_chains() -> bytes:
    """Return the request for all chains of family inet, of whatever table."""
    return message(_GET_CHAIN, NLM_F_DUMP, HEADER)


# Rules


def rule(table: str, chain: str, *expressions: bytes, comment: str = "") -> bytes:
    """Return the addition of a rule at a chain's end."""
    word = comment.encode() + b"\0"
    data = (attribute(7, bytes((_COMMENT, len(word))) + word),) if comment else ()
    return message(
        *(_NEW_RULE, NLM_F_CREATE | _NLM_F_APPEND, HEADER, text(1, table), text(2, chain)),
        nested(4, *expressions),
        *data,
    )


def list_rules(table: str) -> bytes:
    """Return the request for all rules of a table."""
    return message(_GET_RULE, NLM_F_DUMP, HEADER, text(1, table))


def expression(name: str, *data: bytes) -> bytes:
    """Return one expression of a rule."""
    return nested(1, text(1, name), nested(2, *data))


def meta(key: int, register: int = REGISTER) -> bytes:
    """Load something about the packet."""
    return expression("meta", be32(1, register), be32(2, key))


def load(base: int, offset: int, length: int, register: int = REGISTER) -> bytes:
    """Load bytes of a header."""
    return expression("payload", be32(1, register), be32(2, base), be32(3, offset), be32(4, length))


def compare(value: bytes, operation: int = COMPARE_EQUAL) -> bytes:
    """Go on only if the register compares so with a value."""
    data = nested(3, attribute(1, value))
    return expression("cmp", be32(1, REGISTER), be32(2, operation), data)


def mask(value: bytes) -> bytes:
    """Keep these bits of the register."""
    return expression(
        *("bitwise", be32(1, REGISTER), be32(2, REGISTER), be32(3, len(value))),
        nested(4, attribute(1, value)),
        nested(5, attribute(1, bytes(len(value)))),
    )


def lookup(name: str) -> bytes:
    """Go on only if the register is in a set."""
    return expression("lookup", text(1, name), be32(2, REGISTER))


def verdict(code: int, chain: str = "") -> bytes:
    """End with a verdict."""
    target = (text(2, chain),) if chain else ()
    data = nested(2, attribute(1, BE32_SIGNED.pack(code)), *target)
    return expression("immediate", be32(1, _VERDICT_REGISTER), nested(2, data))


def is_family(family: int) -> tuple[bytes, ...]:
    """Go on only with packets of an IP version."""
    return meta(META_NFPROTO), compare(bytes((NFPROTO[family],)))


def counted(expressions: bytes) -> int:
    """Return how many packets the counters among a listed rule's expressions have seen."""
    found = 0
    for each in listed(expressions):
        parts = attributes(each, 0)
        if parts[1].rstrip(b"\0") == b"counter":
            found += _BE64.unpack(attributes(parts[2], 0)[2])[0]
    return found


def comment_of(data: bytes) -> str:
    """Return the comment in a listed rule's user data, "" if there is none."""
    offset = 0
    while offset + 2 <= len(data):
        kind, length = data[offset], data[offset + 1]
        if kind == _COMMENT:
            word = data[offset + 2 : offset + 2 + length]
            return word.rstrip(b"\0").decode(errors="replace")
        offset += 2 + length
    return ""


# Elements


def listed(payload: bytes) -> Iterable[bytes]:
    """Yield the payloads of attributes that are the items of a list. Raises ValueError."""
    offset = 0
    while offset + 4 <= len(payload):
        length = struct.unpack_from("=H", payload, offset)[0]
        if length < 4:
            raise ValueError(f"netlink attribute length {length}")
        yield payload[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def list_elements(table: str, name: str) -> bytes:
    """Return the request for all elements of a set."""
    return message(GET_ELEMENT, NLM_F_DUMP, HEADER, text(1, table), text(2, name))


def elements_in(payload: bytes) -> Iterable[dict[int, bytes]]:
    """Yield the attributes of each element in one message of such a listing."""
    for element in listed(attributes(payload, NFGENMSG.size).get(3, b"")):
        yield attributes(element, 0)
