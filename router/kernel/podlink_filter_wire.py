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
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cni.attachment.plan import Address
from router.kernel import nf_tables
from router.kernel.message import (
    NLM_F_ACK,
    NLM_F_CREATE,
    attribute,
    attributes,
    message,
    nested,
    text,
)
from router.kernel.nf_tables import (
    DELETE_ELEMENT,
    GET_ELEMENT,
    HEADER,
    HOST32,
    META_L4PROTO,
    NETWORK_HEADER,
    NEW_ELEMENT,
    NEW_SET,
    NEXT_REGISTER,
    NF_ACCEPT,
    NF_DROP,
    NFT_GOTO,
    TRANSPORT_HEADER,
    be32,
    compare,
    expression,
    is_family,
    load,
    lookup,
    mask,
    meta,
    rule,
    verdict,
)
from router.kernel.podlink_wire import CONDEMNED_GROUP_BASE
from router.kernel.protocols import POD_LINK_GROUP

TABLE: Final = "podroute"
OPEN: Final = "open"
SOURCES: Final = {4: "sources4", 6: "sources6"}
SETS: Final = (*SOURCES.values(), OPEN)

_PRE_ROUTING: Final = 0
_PRIORITY: Final = -350
"""Behind defragmentation (-400), before raw (-300) and connection tracking (-200): what is dropped
here leaves no trace in anybody's tables."""

_META_IIF: Final = 4
_META_IIFGROUP: Final = 21
_COMPARE_AT_MOST: Final = 3
_COMPARE_AT_LEAST: Final = 5
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
_KEYS_IN_HOST_ORDER: Final = bytes((0, 4)) + HOST32.pack(1)
"""NFTNL_UDATA_SET_KEYBYTEORDER, for nft(8) as well."""

# The table


def create_table() -> tuple[bytes, ...]:
    """Return what makes the table and everything in it but elements; nothing of it may exist."""
    return (
        nf_tables.create_table(TABLE),
        _create_set(SOURCES[4], _TYPE[4], 8, 1),
        _create_set(SOURCES[6], _TYPE[6], 20, 2),
        _create_set(OPEN, _TYPE_IFINDEX, 4, 3),
        nf_tables.create_base_chain(TABLE, "antispoof", _PRE_ROUTING, _PRIORITY),
        nf_tables.create_chain(TABLE, "pod"),
        _rule("antispoof", *_group_is(POD_LINK_GROUP, 0xFFFF_FFFF), verdict(NFT_GOTO, "pod")),
        _rule("antispoof", *_group_is(CONDEMNED_GROUP_BASE, 0xFFFF_0000), verdict(NFT_GOTO, "pod")),
        *(_rule("pod", *_is_own_source(version), verdict(NF_ACCEPT)) for version in (4, 6)),
        _rule("pod", *_is_neighbor_discovery(_LINK_LOCAL_64), verdict(NF_ACCEPT)),
        _rule("pod", *_is_neighbor_discovery(_UNSPECIFIED), verdict(NF_ACCEPT)),
        _rule("pod", meta(_META_IIF), lookup(OPEN), verdict(NF_ACCEPT)),
        _rule("pod", expression("counter"), verdict(NF_DROP)),
    )


def delete_table() -> bytes:
    """Return the removal of the table with all that is in it."""
    return nf_tables.delete_table(TABLE)


def get_table() -> bytes:
    """Return the request for the table, acknowledged."""
    return nf_tables.get_table(TABLE)


def _create_set(name: str, kind: int, key_bytes: int, number: int) -> bytes:
    return message(
        *(NEW_SET, NLM_F_CREATE, HEADER, text(1, TABLE), text(2, name)),
        *(be32(4, kind), be32(5, key_bytes), be32(10, number)),
        attribute(13, _KEYS_IN_HOST_ORDER),
    )


# Rules


def _rule(chain: str, *expressions: bytes) -> bytes:
    return rule(TABLE, chain, *expressions)


def _group_is(group: int, bits: int) -> tuple[bytes, ...]:
    masked = (mask(HOST32.pack(bits)),) if bits != 0xFFFF_FFFF else ()
    return (meta(_META_IIFGROUP), *masked, compare(HOST32.pack(group)))


def _is_own_source(version: int) -> tuple[bytes, ...]:
    return (
        *is_family(version),
        meta(_META_IIF),
        load(NETWORK_HEADER, *_SOURCE[version], NEXT_REGISTER),
        lookup(SOURCES[version]),
    )


def _is_neighbor_discovery(source: bytes) -> tuple[bytes, ...]:
    """Never router advertisements or redirects: a pod must not steer the node's traffic."""
    return (
        *is_family(6),
        load(NETWORK_HEADER, _SOURCE[6][0], len(source)),
        compare(source),
        meta(META_L4PROTO),
        compare(bytes((_ICMPV6,))),
        load(TRANSPORT_HEADER, 0, 1),
        compare(bytes((_NEIGHBOR_SOLICITATION,)), _COMPARE_AT_LEAST),
        compare(bytes((_NEIGHBOR_ADVERTISEMENT,)), _COMPARE_AT_MOST),
    )


# Elements


def source_key(index: int, address: Address) -> tuple[str, bytes]:
    """Return (set, key) of an address that the link with this index may send from."""
    return SOURCES[address.version], HOST32.pack(index) + address.packed


def open_key(index: int) -> tuple[str, bytes]:
    """Return (set, key) of a link that may send from any address."""
    return OPEN, HOST32.pack(index)


def index_of(key: bytes) -> int:
    """Return the link's index that a key begins with."""
    index: int = HOST32.unpack_from(key)[0]
    return index


def add_element(name: str, key: bytes) -> bytes:
    """Return the addition of an element; one that is there already is fine."""
    return _element(NEW_ELEMENT, NLM_F_CREATE, name, key)


def delete_element(name: str, key: bytes) -> bytes:
    """Return the removal of an element; one that is not there fails its transaction (ENOENT)."""
    return _element(DELETE_ELEMENT, 0, name, key)


def get_element(name: str, key: bytes) -> bytes:
    """Return the request for one element, acknowledged; ENOENT if it is not there."""
    return _element(GET_ELEMENT, NLM_F_ACK, name, key)


def _element(kind: int, flags: int, name: str, key: bytes) -> bytes:
    element = nested(1, nested(1, attribute(1, key)))
    return message(kind, flags, HEADER, text(1, TABLE), text(2, name), nested(3, element))


def list_elements(name: str) -> bytes:
    """Return the request for all elements of a set."""
    return nf_tables.list_elements(TABLE, name)


def parse_elements(payload: bytes) -> Iterable[bytes]:
    """Yield the keys in one message of such a listing."""
    for element in nf_tables.elements_in(payload):
        yield attributes(element[1], 0)[1]
