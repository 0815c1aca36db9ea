"""The anti-spoofing ruleset as nf_tables messages. PURE.

What it says, as ``nft list table inet podroute`` shows it::

    set sources4 { typeof iif . ip saddr }      # one element per pod link and address
    set sources6 { typeof iif . ip6 saddr }
    set open     { type iface_index }           # links with anti-spoofing off
    chain antispoof {
        type filter hook prerouting priority -350; policy accept;
        iifgroup 0x7072 goto pod
        iifgroup & 0xffff0000 == 0x70720000 goto pod    # its removal has begun
    }
    chain pod {
        meta nfproto ipv4 iif . ip saddr @sources4 accept
        meta nfproto ipv6 iif . ip6 saddr @sources6 accept
        ip6 saddr fe80::/64 icmpv6 type { NS, NA } accept
        ip6 saddr ::        icmpv6 type { NS, NA } accept
        iif @open accept
        counter drop
    }

Layouts: include/uapi/linux/netfilter/{nfnetlink,nf_tables}.h; numbers are in network order there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from cni.attachment.plan import Address
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
from router.kernel.podlink_wire import CONDEMNED_GROUP_BASE
from router.kernel.protocols import POD_LINK_GROUP

TABLE: Final = "podroute"
OPEN: Final = "open"
SOURCES: Final = {4: "sources4", 6: "sources6"}
SETS: Final = (*SOURCES.values(), OPEN)

_SUBSYSTEM: Final = 10 << 8
_NEW_TABLE: Final = _SUBSYSTEM | 0
_GET_TABLE: Final = _SUBSYSTEM | 1
_DELETE_TABLE: Final = _SUBSYSTEM | 2
_NEW_CHAIN: Final = _SUBSYSTEM | 3
_NEW_RULE: Final = _SUBSYSTEM | 6
_NEW_SET: Final = _SUBSYSTEM | 9
_NEW_ELEMENT: Final = _SUBSYSTEM | 12
_GET_ELEMENT: Final = _SUBSYSTEM | 13
_DELETE_ELEMENT: Final = _SUBSYSTEM | 14
NEW_GENERATION: Final = _SUBSYSTEM | 15
NFNLGRP_NFTABLES: Final = 7

_NFPROTO_UNSPEC: Final = 0
_NFPROTO_INET: Final = 1
_NFPROTO: Final = {4: 2, 6: 10}
_NFGENMSG: Final = struct.Struct("!BBH")
_BE32: Final = struct.Struct("!I")
_BE32_SIGNED: Final = struct.Struct("!i")
_HOST32: Final = struct.Struct("=I")

_PRE_ROUTING: Final = 0
_PRIORITY: Final = -350
"""Behind defragmentation (-400), before raw (-300) and connection tracking (-200): what is dropped
here leaves no trace in anybody's tables."""
_NF_DROP: Final = 0
_NF_ACCEPT: Final = 1
_NFT_GOTO: Final = -4
_VERDICT_REGISTER: Final = 0
_REGISTER: Final = 8
_NEXT_REGISTER: Final = 9
"""NFT_REG32_00 and NFT_REG32_01: four bytes each, side by side."""

_META_IIF: Final = 4
_META_NFPROTO: Final = 15
_META_L4PROTO: Final = 16
_META_IIFGROUP: Final = 21
_NETWORK_HEADER: Final = 1
_TRANSPORT_HEADER: Final = 2
_CMP_EQUAL: Final = 0
_CMP_AT_MOST: Final = 3
_CMP_AT_LEAST: Final = 5
_SOURCE: Final = {4: (12, 4), 6: (8, 16)}
"""Offset and length of the source address in the header, by IP version."""
_ICMPV6: Final = 58
_NEIGHBOR_SOLICITATION: Final = 135
_NEIGHBOR_ADVERTISEMENT: Final = 136
_LINK_LOCAL_64: Final = bytes.fromhex("fe80000000000000")
_UNSPECIFIED: Final = bytes(16)

# What nft(8) shows of a set's type (its enum datatypes, six bits each); nothing to the kernel.
_TYPE_IFINDEX: Final = 20
_TYPE: Final = {4: _TYPE_IFINDEX << 6 | 7, 6: _TYPE_IFINDEX << 6 | 8}
_KEYS_IN_HOST_ORDER: Final = bytes((0, 4)) + _HOST32.pack(1)
"""NFTNL_UDATA_SET_KEYBYTEORDER, for nft(8) as well."""

BEGIN: Final = message(16, 0, _NFGENMSG.pack(_NFPROTO_UNSPEC, 0, 10))
END: Final = message(17, 0, _NFGENMSG.pack(_NFPROTO_UNSPEC, 0, 10))
"""NFNL_MSG_BATCH_BEGIN and _END, for subsystem NFNL_SUBSYS_NFTABLES."""

_HEADER: Final = _NFGENMSG.pack(_NFPROTO_INET, 0, 0)


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, _BE32.pack(value))


# The table


def create_table() -> tuple[bytes, ...]:
    """Return what makes the table and everything in it but elements; nothing of it may exist."""
    return (
        message(_NEW_TABLE, NLM_F_CREATE, _HEADER, text(1, TABLE)),
        _create_set(SOURCES[4], _TYPE[4], 8, 1),
        _create_set(SOURCES[6], _TYPE[6], 20, 2),
        _create_set(OPEN, _TYPE_IFINDEX, 4, 3),
        message(
            *(_NEW_CHAIN, NLM_F_CREATE, _HEADER, text(1, TABLE), text(3, "antispoof")),
            nested(4, _be32(1, _PRE_ROUTING), attribute(2, _BE32_SIGNED.pack(_PRIORITY))),
            _be32(5, _NF_ACCEPT),
            text(7, "filter"),
        ),
        message(_NEW_CHAIN, NLM_F_CREATE, _HEADER, text(1, TABLE), text(3, "pod")),
        _rule("antispoof", *_group_is(POD_LINK_GROUP, 0xFFFF_FFFF), _verdict(_NFT_GOTO, "pod")),
        _rule(
            "antispoof", *_group_is(CONDEMNED_GROUP_BASE, 0xFFFF_0000), _verdict(_NFT_GOTO, "pod")
        ),
        *(_rule("pod", *_is_own_source(version), _verdict(_NF_ACCEPT)) for version in (4, 6)),
        _rule("pod", *_is_neighbor_discovery(_LINK_LOCAL_64), _verdict(_NF_ACCEPT)),
        _rule("pod", *_is_neighbor_discovery(_UNSPECIFIED), _verdict(_NF_ACCEPT)),
        _rule("pod", _meta(_META_IIF, _REGISTER), _lookup(OPEN), _verdict(_NF_ACCEPT)),
        _rule("pod", _expression("counter"), _verdict(_NF_DROP)),
    )


def delete_table() -> bytes:
    """Return the removal of the table with all that is in it."""
    return message(_DELETE_TABLE, 0, _HEADER, text(1, TABLE))


def get_table() -> bytes:
    """Return the request for the table, acknowledged."""
    return message(_GET_TABLE, NLM_F_ACK, _HEADER, text(1, TABLE))


def _create_set(name: str, kind: int, key_bytes: int, number: int) -> bytes:
    return message(
        *(_NEW_SET, NLM_F_CREATE, _HEADER, text(1, TABLE), text(2, name)),
        *(_be32(4, kind), _be32(5, key_bytes), _be32(10, number)),
        attribute(13, _KEYS_IN_HOST_ORDER),
    )


# Rules


def _rule(chain: str, *expressions: bytes) -> bytes:
    return message(
        *(_NEW_RULE, NLM_F_CREATE | 0x800, _HEADER, text(1, TABLE), text(2, chain)),
        nested(4, *expressions),
    )


def _expression(name: str, *data: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *data))


def _meta(key: int, register: int) -> bytes:
    return _expression("meta", _be32(1, register), _be32(2, key))


def _load(base: int, offset: int, length: int, register: int) -> bytes:
    return _expression(
        "payload", _be32(1, register), _be32(2, base), _be32(3, offset), _be32(4, length)
    )


def _compare(value: bytes, operation: int = _CMP_EQUAL) -> bytes:
    data = nested(3, attribute(1, value))
    return _expression("cmp", _be32(1, _REGISTER), _be32(2, operation), data)


def _mask(value: int) -> bytes:
    return _expression(
        *("bitwise", _be32(1, _REGISTER), _be32(2, _REGISTER), _be32(3, 4)),
        nested(4, attribute(1, _HOST32.pack(value))),
        nested(5, attribute(1, bytes(4))),
    )


def _lookup(name: str) -> bytes:
    return _expression("lookup", text(1, name), _be32(2, _REGISTER))


def _verdict(code: int, chain: str = "") -> bytes:
    target = (text(2, chain),) if chain else ()
    verdict = nested(2, attribute(1, _BE32_SIGNED.pack(code)), *target)
    return _expression("immediate", _be32(1, _VERDICT_REGISTER), nested(2, verdict))


def _group_is(group: int, mask: int) -> tuple[bytes, ...]:
    masked = (_mask(mask),) if mask != 0xFFFF_FFFF else ()
    return (_meta(_META_IIFGROUP, _REGISTER), *masked, _compare(_HOST32.pack(group)))


def _is_own_source(version: int) -> tuple[bytes, ...]:
    return (
        _meta(_META_NFPROTO, _REGISTER),
        _compare(bytes((_NFPROTO[version],))),
        _meta(_META_IIF, _REGISTER),
        _load(_NETWORK_HEADER, *_SOURCE[version], _NEXT_REGISTER),
        _lookup(SOURCES[version]),
    )


def _is_neighbor_discovery(source: bytes) -> tuple[bytes, ...]:
    """Never router advertisements or redirects: a pod must not steer the node's traffic."""
    return (
        _meta(_META_NFPROTO, _REGISTER),
        _compare(bytes((_NFPROTO[6],))),
        _load(_NETWORK_HEADER, _SOURCE[6][0], len(source), _REGISTER),
        _compare(source),
        _meta(_META_L4PROTO, _REGISTER),
        _compare(bytes((_ICMPV6,))),
        _load(_TRANSPORT_HEADER, 0, 1, _REGISTER),
        _compare(bytes((_NEIGHBOR_SOLICITATION,)), _CMP_AT_LEAST),
        _compare(bytes((_NEIGHBOR_ADVERTISEMENT,)), _CMP_AT_MOST),
    )


# Elements


def source_key(index: int, address: Address) -> tuple[str, bytes]:
    """Return (set, key) of an address that the link with this index may send from."""
    return SOURCES[address.version], _HOST32.pack(index) + address.packed


def open_key(index: int) -> tuple[str, bytes]:
    """Return (set, key) of a link that may send from any address."""
    return OPEN, _HOST32.pack(index)


def index_of(key: bytes) -> int:
    """Return the link's index that a key begins with."""
    index: int = _HOST32.unpack_from(key)[0]
    return index


def add_element(name: str, key: bytes) -> bytes:
    """Return the addition of an element; one that is there already is fine."""
    return _element(_NEW_ELEMENT, NLM_F_CREATE, name, key)


def delete_element(name: str, key: bytes) -> bytes:
    """Return the removal of an element; one that is not there fails its transaction (ENOENT)."""
    return _element(_DELETE_ELEMENT, 0, name, key)


def get_element(name: str, key: bytes) -> bytes:
    """Return the request for one element, acknowledged; ENOENT if it is not there."""
    return _element(_GET_ELEMENT, NLM_F_ACK, name, key)


def _element(kind: int, flags: int, name: str, key: bytes) -> bytes:
    element = nested(1, nested(1, attribute(1, key)))
    return message(kind, flags, _HEADER, text(1, TABLE), text(2, name), nested(3, element))


def list_elements(name: str) -> bytes:
    """Return the request for all elements of a set."""
    return message(_GET_ELEMENT, NLM_F_DUMP, _HEADER, text(1, TABLE), text(2, name))


def parse_elements(payload: bytes) -> Iterable[bytes]:
    """Yield the keys in one message of such a listing."""
    listed = attributes(payload, _NFGENMSG.size).get(3, b"")
    offset = 0
    while offset + 4 <= len(listed):
        length = struct.unpack_from("=H", listed, offset)[0]
        if length < 4:
            raise ValueError(f"netlink attribute length {length}")
        element = attributes(listed[offset + 4 : offset + length], 0)
        key = attributes(element[1], 0)[1]
        yield key
        offset += (length + 3) & ~3
