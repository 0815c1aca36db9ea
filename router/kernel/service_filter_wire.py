"""The table that rejects unused addresses of Services, as nf_tables messages (ADR 0055). PURE.

What it says, as ``nft list table inet podroute-services`` shows it::

    set aggregates4 { type ipv4_addr; flags interval }
    set aggregates6 { type ipv6_addr; flags interval }
    chain forward {
        type filter hook forward priority 20; policy accept;
        ip daddr @aggregates4 goto unused
        ip6 daddr @aggregates6 goto unused
    }
    chain unused {
        tcp flags & (fin | syn | rst | ack) == syn counter reject with tcp reset
        meta l4proto tcp counter drop
        meta l4proto udp counter reject with icmpx port-unreachable
        counter reject with icmpx host-unreachable
    }

What is used of an aggregate has another destination here, since kube-proxy's DNAT is made before
routing; or it is local (IPVS) and never comes by. Behind priority 0, so that kube-proxy's own
refusals, and an operator's firewall, come first. Of TCP only the first packet of a connection is
answered: connection tracking leaves a packet that it calls invalid untranslated, and a reset would
end a connection that lives. No conntrack of ours.

Every rule has a comment with its number: by these a table is known to be as we made it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from bgp.nlri import BITS, Prefix
from router.kernel import nf_tables
from router.kernel.message import NLM_F_CREATE, attribute, attributes, message, nested, text
from router.kernel.nf_tables import (
    BE32_SIGNED,
    DELETE_ELEMENT,
    HEADER,
    META_L4PROTO,
    NETWORK_HEADER,
    NEW_ELEMENT,
    NEW_SET,
    NF_DROP,
    NFGENMSG,
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

TABLE: Final = "podroute-services"
SETS: Final = {4: "aggregates4", 6: "aggregates6"}
_FORWARD_CHAIN: Final = "forward"
_UNUSED: Final = "unused"

_FORWARD: Final = 2
_PRIORITY: Final = 20
_SET_INTERVAL: Final = 0x4
_TYPE: Final = {4: 7, 6: 8}
"""Of nft(8): ipv4_addr, ipv6_addr."""
_BYTES: Final = {4: 4, 6: 16}
_DESTINATION: Final = {4: (16, 4), 6: (24, 16)}
"""Offset and length in the header, by IP version."""
_INTERVAL_END: Final = 0x1
_TCP: Final = 6
_UDP: Final = 17
_FLAGS_OFFSET: Final = 13
_FIN_SYN_RST_ACK: Final = 0x17
_SYN: Final = 0x02
_REJECT_TCP_RESET: Final = 1
_REJECT_ICMPX: Final = 2
_PORT_UNREACHABLE: Final = 1
_HOST_UNREACHABLE: Final = 2
"""NFT_REJECT_ICMPX_*: the kernel knows the code of either family."""

# The table


def create_table() -> tuple[bytes, ...]:
    """Return what makes the table and everything in it but elements; nothing of it may exist."""
    return (
        nf_tables.create_table(TABLE),
        *(_create_set(family) for family in BITS),
        nf_tables.create_base_chain(TABLE, _FORWARD_CHAIN, _FORWARD, _PRIORITY),
        nf_tables.create_chain(TABLE, _UNUSED),
        *(
            rule(TABLE, chain, *expressions, comment=comment)
            for chain, comment, expressions in _rules()
        ),
    )


def _create_set(family: int) -> bytes:
    return message(
        *(NEW_SET, NLM_F_CREATE, HEADER, text(1, TABLE), text(2, SETS[family])),
        *(be32(3, _SET_INTERVAL), be32(4, _TYPE[family]), be32(5, _BYTES[family])),
        be32(10, family),
    )


def _rules() -> Iterable[tuple[str, str, tuple[bytes, ...]]]:
    """Yield chain, comment and expressions of each rule, in order."""
    counter = expression("counter")
    for family in BITS:
        to = load(NETWORK_HEADER, *_DESTINATION[family])
        found = (to, lookup(SETS[family]), verdict(NFT_GOTO, _UNUSED))
        yield _FORWARD_CHAIN, _comment(family), (*is_family(family), *found)
    flags = (load(TRANSPORT_HEADER, _FLAGS_OFFSET, 1), mask(bytes((_FIN_SYN_RST_ACK,))))
    begins = (*_is_protocol(_TCP), *flags, compare(bytes((_SYN,))))
    yield _UNUSED, _comment(1), (*begins, counter, _reject(_REJECT_TCP_RESET))
    yield _UNUSED, _comment(2), (*_is_protocol(_TCP), counter, verdict(NF_DROP))
    port = _reject(_REJECT_ICMPX, _PORT_UNREACHABLE)
    yield _UNUSED, _comment(3), (*_is_protocol(_UDP), counter, port)
    yield _UNUSED, _comment(5), (counter, _reject(_REJECT_ICMPX, _HOST_UNREACHABLE))


def _comment(number: int) -> str:
    return f"podroute 1.{number}"


def _is_protocol(number: int) -> tuple[bytes, ...]:
    return meta(META_L4PROTO), compare(bytes((number,)))


def _reject(kind: int, code: int = 0) -> bytes:
    return expression("reject", be32(1, kind), attribute(2, bytes((code,))))


# What is there


def chains_in(listed: Iterable[bytes]) -> frozenset[tuple[str, int, int]]:
    """Return (name, hook, priority) of our chains among all; -1 and 0 of one without a hook."""
    found = set()
    for payload in listed:
        chain = attributes(payload, NFGENMSG.size)
        if _word(chain.get(1, b"")) != TABLE:
            continue
        hook, priority = -1, 0
        if 4 in chain:
            at = attributes(chain[4], 0)
            hook, priority = _signed(at[1]), _signed(at[2])
        found.add((_word(chain[3]), hook, priority))
    return frozenset(found)


CHAINS: Final = frozenset({(_FORWARD_CHAIN, _FORWARD, _PRIORITY), (_UNUSED, -1, 0)})


def rules_in(listed: Iterable[bytes]) -> tuple[tuple[tuple[str, str], ...], int]:
    """Return (chain, comment) of each rule in order, and how many packets they have counted."""
    found: list[tuple[str, str]] = []
    packets = 0
    for payload in listed:
        each = attributes(payload, NFGENMSG.size)
        found.append((_word(each.get(2, b"")), nf_tables.comment_of(each.get(7, b""))))
        packets += nf_tables.counted(each.get(4, b""))
    return tuple(sorted(found)), packets


RULES: Final = tuple(sorted((chain, comment) for chain, comment, _ in _rules()))


def _word(payload: bytes) -> str:
    return payload.rstrip(b"\0").decode(errors="replace")


def _signed(payload: bytes) -> int:
    value: int = BE32_SIGNED.unpack(payload)[0]
    return value


# Elements


def add_prefix(prefix: Prefix) -> bytes:
    """Return the addition of an aggregate to its set."""
    return _element(NEW_ELEMENT, NLM_F_CREATE, prefix)


def delete_prefix(prefix: Prefix) -> bytes:
    """Return the removal of an aggregate from its set."""
    return _element(DELETE_ELEMENT, 0, prefix)


def _element(kind: int, flags: int, prefix: Prefix) -> bytes:
    """Return an interval: its first address, and the first behind it, if there is one."""
    size, bits = _BYTES[prefix.family], BITS[prefix.family]
    ends = [nested(1, nested(1, attribute(1, prefix.network.to_bytes(size, "big"))))]
    behind = prefix.network + (1 << (bits - prefix.length))
    if behind < 1 << bits:
        key = nested(1, attribute(1, behind.to_bytes(size, "big")))
        ends.append(nested(1, key, be32(3, _INTERVAL_END)))
    return message(
        *(kind, flags, HEADER, text(1, TABLE), text(2, SETS[prefix.family])), nested(3, *ends)
    )


def prefixes_in(family: int, listed: Iterable[bytes]) -> frozenset[Prefix]:
    """Return what stands in a set, each interval as the shortest list of prefixes."""
    points: list[tuple[int, bool]] = []
    for payload in listed:
        for element in nf_tables.elements_in(payload):
            key = attributes(element[1], 0)[1]
            ends = 3 in element and struct.unpack("!I", element[3])[0] & _INTERVAL_END
            points.append((int.from_bytes(key, "big"), not ends))
    return frozenset(_prefixes(family, sorted(points)))


def _prefixes(family: int, points: Sequence[tuple[int, bool]]) -> Iterable[Prefix]:
    """Yield prefixes of intervals; at one place an end sorts before a beginning."""
    bits = BITS[family]
    first: int | None = None
    for place, begins in (*points, (1 << bits, False)):
        if first is not None:
            yield from _cover(family, first, place)
        first = place if begins else None


def _cover(family: int, first: int, behind: int) -> Iterable[Prefix]:
    bits = BITS[family]
    while first < behind:
        spare = min((first & -first).bit_length() - 1 if first else bits, bits)
        while first + (1 << spare) > behind:
            spare -= 1
        yield Prefix(family, first, bits - spare)
        first += 1 << spare
