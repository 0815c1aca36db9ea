"""UPDATE messages from the wire (RFC 4271 section 4.3, RFC 4760, RFC 8950), read fast. PURE.

What is wrong with a message is handled as RFC 7606 says: the routes of a message whose attributes
are damaged are withdrawn, attributes that nobody needs are discarded, and only where it cannot be
told which routes are meant the session ends (`UpdateError`, with the NOTIFICATION to send).

Equal attributes come out as the same object while the cache lasts: one dictionary look-up for all
routes of all messages that share them. Where every route has an AS path of its own (an AS per
node), what stands beside the AS path is looked up, and only the path is read. Caches are emptied
when they are full, so that such a table does not stay in memory twice.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, TypeVar

from bgp.alike import (
    AS_0,
    AS_PATH_SECOND,
    ORIGIN_FIRST,
    PATH_AT,
    Pattern,
    pattern_of,
    read_alike,
)
from bgp.attribute import DamagedError, decode, read_each
from bgp.attribute_field import has_routes, split
from bgp.attribute_kinds import AS_SEQUENCE, MP_REACH_NLRI, MULTIPROTOCOL
from bgp.ends import beside
from bgp.event import Change, Series
from bgp.multiprotocol import prefixes, reached, unreached
from bgp.nlri import IPV4, IPAddress, Prefix
from bgp.path import Attributes
from bgp.update_error import MALFORMED_ATTRIBUTE_LIST, UPDATE_ERROR, UpdateError

_SMALLEST: Final = 4
_CACHE_ENTRIES: Final = 4096
_HALF: Final = 16
_IPV4_SIZE: Final = 4
_ASN_SIZE: Final = 4
_SEQUENCES: Final = tuple(f">{count}I" for count in range(256))
T = TypeVar("T")

__all__ = ["UPDATE_ERROR", "Negotiated", "Told", "Update", "UpdateError", "UpdateReader"]


class Negotiated(NamedTuple):
    """What the OPENs of a session mean for its UPDATEs."""

    families: frozenset[int]
    """IPV4 and IPV6 unicast; routes of others are ignored."""
    asn_size: int = 4
    internal: bool = False
    """The peer is in our own AS."""
    via: IPAddress | None = None
    """The next hop of all routes whatever the message says: a peer by interface (RFC 8950 lets it
    send its link-local address alone, twice, or beside a global or unspecified one)."""
    peer: IPAddress | None = None
    """A peer by address: its link-local next hops are beside it."""


class Update(NamedTuple):
    """What one message says."""

    changes: tuple[Change, ...] = ()
    end_of_rib: int | None = None
    """The family, if the message is an End-of-RIB (RFC 4724 section 2)."""
    damage: str = ""
    """Why routes that it announces are withdrawn instead."""


class Told(NamedTuple):
    """A change, and why it withdraws what was announced, if it does."""

    change: Change
    damage: str = ""


class UpdateReader:
    """Reads the messages of one session; holds the attributes seen last."""

    def __init__(self) -> None:
        self._negotiated: Negotiated | None = None
        """What the attributes in the cache were read with."""
        self._attributes: dict[bytes, Attributes] = {}
        self._damages: dict[bytes, str] = {}
        self._templates: dict[bytes, Attributes] = {}
        """By the block without its AS path, but with the path's length."""
        self._addresses: dict[bytes, IPAddress] = {}
        self._pattern: Pattern | None = None

    def read_alike(self, messages: bytes, at: int, changes: list[Change | Series]) -> int:
        """Read messages that look like the last one, from the one at `at` on.

        Appends to `changes` and gives where it stopped.
        """
        return at if self._pattern is None else read_alike(self._pattern, messages, at, changes)

    def read(self, body: bytes, negotiated: Negotiated) -> Update:
        """Read the message without its header. Raises UpdateError, nothing else."""
        withdrawn, block, announced = _cut(body)
        gone = prefixes(withdrawn, IPV4) if withdrawn else []
        new = prefixes(announced, IPV4) if announced else []
        if negotiated is not self._negotiated:
            self._forget(negotiated)
        known = self._attributes.get(block) or self._beside_as_path(block)
        if known is None and has_routes(block):
            return self._read_all(block, new, gone, negotiated)
        if IPV4 not in negotiated.families:
            if block:
                self._expect_sound(block, negotiated)
            return Update()
        if known is not None and new and not gone:
            if len(new) == 1:
                self._pattern = pattern_of(body, block, new[0], known)
            return Update((Change(known, new, gone),))
        if block and not new:
            self._expect_sound(block, negotiated)
        if new or gone:
            return _update([self._change(block, negotiated, new, gone)])
        return Update((), None if block else IPV4)

    @staticmethod
    def _expect_sound(block: bytes, negotiated: Negotiated) -> None:
        """Read attributes that no route goes with: with damage it cannot be told whose they are.

        Then the session ends (RFC 7606 section 5.2); a missing attribute is none.
        """
        try:
            found, damage = split(block)
            if not damage:
                others = [raw for raw in found if raw.kind not in MULTIPROTOCOL]
                read_each(others, asn_size=negotiated.asn_size, internal=negotiated.internal)
        except DamagedError as error:
            damage = str(error)
        if damage:
            raise UpdateError(MALFORMED_ATTRIBUTE_LIST, f"{damage}, and no route to withdraw")

    def _forget(self, negotiated: Negotiated) -> None:
        self._negotiated = negotiated
        self._attributes.clear()
        self._damages.clear()
        self._templates.clear()
        self._addresses.clear()
        self._pattern = None

    def _beside_as_path(self, block: bytes) -> Attributes | None:
        """Put the AS path of the block into attributes known from another block, if they are."""
        if block[:3] != ORIGIN_FIRST or block[4:6] != AS_PATH_SECOND or len(block) <= PATH_AT:
            return None
        end = 7 + block[6]
        template = self._templates.get(block[:4] + block[8:PATH_AT] + block[end:])
        # One sequence of four-octet numbers is by far the usual path.
        if template is None or block[7] != AS_SEQUENCE or block[6] != 2 + 4 * block[8]:
            return None
        packed = block[PATH_AT:end]
        if AS_0 in packed and 0 in struct.unpack(_SEQUENCES[block[8]], packed):
            return None
        return template.with_packed_path(packed)

    def _read_all(
        self, block: bytes, new: list[Prefix], gone: list[Prefix], negotiated: Negotiated
    ) -> Update:
        """Read a message with routes inside its attributes, perhaps beside others."""
        found, damage = split(block)
        rest = b"".join(raw.whole for raw in found if raw.kind not in MULTIPROTOCOL)
        changes = []
        families = negotiated.families
        if IPV4 in families and (new or gone):
            changes.append(self._change(rest, negotiated, new, gone, damage=damage))
        family, left = unreached(found)
        if family in families and left:
            changes.append(Told(Change(None, (), left)))
        reach, hop, announced = reached(found)
        told = IPV4 in families and new
        if not (told or reach or any(raw.kind == MP_REACH_NLRI for raw in found)):
            self._expect_sound(block, negotiated)
        if reach in families and announced:
            changes.append(self._change(rest, negotiated, announced, [], hop, damage))
        if not changes and family in families and len(found) == 1 and not damage:
            return Update((), family)
        return _update(changes)

    def _change(
        self,
        block: bytes,
        negotiated: Negotiated,
        new: list[Prefix],
        gone: list[Prefix],
        hop: bytes = b"",
        damage: str = "",
    ) -> Told:
        """Give what the routes with these attributes mean."""
        if not new:
            return Told(Change(None, (), gone))
        attributes = damage or self._shared(block, negotiated, hop)
        if isinstance(attributes, str):
            return Told(Change(None, (), [*gone, *new]), attributes)
        if gone:
            gone = [*set(gone).difference(new)]
        return Told(Change(attributes, new, gone))

    def _shared(self, block: bytes, negotiated: Negotiated, hop: bytes) -> Attributes | str:
        """Give the attributes of a block, or in words why its routes are to be withdrawn."""
        key = block + hop if hop else block
        known = self._attributes.get(key) or self._damages.get(key)
        if known is None:
            known = self._decode(block, negotiated, hop)
            if isinstance(known, str):
                _put(self._damages, key, known)
            else:
                _put(self._attributes, key, known)
                if not hop and negotiated.asn_size == _ASN_SIZE:
                    self._note_template(block, known)
        return known

    def _note_template(self, block: bytes, known: Attributes) -> None:
        """Keep for other AS paths of the same length; see `Attributes.with_packed_path`."""
        if known.as_sets or known.med is not None or len(block) <= PATH_AT:
            return
        if block[:3] == ORIGIN_FIRST and block[4:6] == AS_PATH_SECOND:
            key = block[:4] + block[8:PATH_AT] + block[7 + block[6] :]
            _put(self._templates, key, known)

    def _decode(self, block: bytes, negotiated: Negotiated, hop: bytes) -> Attributes | str:
        try:
            found, damage = split(block)
            if damage:
                return damage
            if len(hop) > _HALF and negotiated.via is None:
                hop = self._suitable_half(hop)
            via = negotiated.via
            return decode(
                found,
                asn_size=negotiated.asn_size,
                internal=negotiated.internal,
                next_hop=self._address if via is None else lambda _: via,
                reached=hop,
            )
        except DamagedError as error:
            return str(error)

    def _suitable_half(self, pair: bytes) -> bytes:
        """Choose the global address of a pair (RFC 2545 section 3), whatever the order.

        That is the address which the interface of a peer with such an address surely answers to.
        """
        halves = pair[:_HALF], pair[_HALF:]
        for half in halves:
            if any(half) and not self._address(half).is_link_local:
                return half
        return halves[0] if any(halves[0]) else halves[1]

    def _address(self, packed: bytes) -> IPAddress:
        address = self._addresses.get(packed)
        if address is None:
            address = IPv4Address(packed) if len(packed) == _IPV4_SIZE else IPv6Address(packed)
            if address.is_unspecified or address.is_multicast or address.is_loopback:
                raise DamagedError(f"next hop {address}")
            if self._negotiated is not None and self._negotiated.peer is not None:
                address = beside(address, self._negotiated.peer)
            _put(self._addresses, packed, address)
        return address


def _put(cache: dict[bytes, T], key: bytes, value: T) -> None:
    if len(cache) >= _CACHE_ENTRIES:
        cache.clear()
    cache[key] = value


def _cut(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Give withdrawn routes, path attributes and NLRI. Raises UpdateError."""
    end = len(body)
    if end >= _SMALLEST:
        first = 2 + (body[0] << 8 | body[1])
        if first + 2 <= end:
            second = first + 2 + (body[first] << 8 | body[first + 1])
            if second <= end:
                return body[2:first], body[first + 2 : second], body[second:]
    raise UpdateError(MALFORMED_ATTRIBUTE_LIST, "lengths of the fields exceed the message")


def _update(told: list[Told]) -> Update:
    damage = next((one.damage for one in told if one.damage), "")
    return Update(tuple(one.change for one in told), None, damage)
