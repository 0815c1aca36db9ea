"""RFC 7606 rule by rule: each kind of damage, from an internal and from an external peer.

KEPT: the attribute is discarded and the route stays; GONE: the route is treated as withdrawn;
a number: the session ends with this subcode of UPDATE Message Error.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import pytest

from bgp.nlri import Prefix
from bgp.update import Negotiated, UpdateError, UpdateReader
from tests.support.bgp_wire import IGP, as_path, attribute, body, next_hop, nlri

KEPT: Final = "kept"
GONE: Final = "gone"
POD, POD6 = Prefix.parse("10.244.2.0/24"), Prefix.parse("fd00:244:2::/64")
PATH, HOP = as_path(65101, 65202), next_hop("10.0.1.2")
GOOD = IGP + PATH + HOP
HOP6 = ip_address("fd00:0:1::2").packed
INSIDE = Negotiated(frozenset({4, 6}), internal=True)
NO_COMMUNITY = attribute(0xC0, 8, b"")
OUTSIDE = Negotiated(frozenset({4, 6}))
Outcome = str | int


def path(raw: bytes) -> bytes:
    return IGP + attribute(0x40, 2, raw) + HOP


def reach(value: bytes, flags: int = 0x80) -> bytes:
    return attribute(flags, 14, value)


REACH6 = reach(b"\0\2\1\x10" + HOP6 + b"\0" + nlri([POD6]))

# section, what, attributes of a message that announces POD, from outside, from inside
RULES: Final[tuple[tuple[str, str, bytes, Outcome, Outcome], ...]] = (
    ("3 a", "well-known attribute that nobody knows", GOOD + attribute(0x40, 77, b""), 2, 2),
    ("3 c", "Optional bit of ORIGIN", attribute(0xC0, 1, b"\0") + PATH + HOP, GONE, GONE),
    ("3 c", "Transitive bit of MED", GOOD + attribute(0xC0, 4, bytes(4)), GONE, GONE),
    ("3 c", "flags of ATOMIC_AGGREGATE", GOOD + attribute(0xC0, 6, b""), GONE, GONE),
    ("3 c", "Partial bit is no conflict", GOOD + attribute(0xE0, 8, bytes(4)), KEPT, KEPT),
    ("3 d", "no ORIGIN", PATH + HOP, GONE, GONE),
    ("3 d", "no AS_PATH", IGP + HOP, GONE, GONE),
    ("3 d", "no NEXT_HOP", IGP + PATH, GONE, GONE),
    ("3 g", "two ORIGINs, the second wrong", GOOD + attribute(0x40, 1, b"\7"), KEPT, KEPT),
    ("3 g", "two ORIGINs, the first wrong", attribute(0x40, 1, b"\7") + GOOD, GONE, GONE),
    ("3 g", "two MP_REACH_NLRI", GOOD + REACH6 + REACH6, 1, 1),
    ("3 g", "two MP_UNREACH_NLRI", GOOD + attribute(0x80, 15, b"\0\2\1") * 2, 1, 1),
    (
        "3 h",
        "discard and withdraw together",
        GOOD + attribute(0xC0, 7, b"") + attribute(0xC0, 8, b""),
        GONE,
        GONE,
    ),
    ("4", "attribute longer than the field", GOOD + b"\x80\x04\x09\0\0", GONE, GONE),
    ("4", "header cut off after the flags", GOOD + b"\x80", GONE, GONE),
    ("4", "header cut off in the extended length", GOOD + b"\x90\x04\0", GONE, GONE),
    ("4", "zero length of ORIGIN", attribute(0x40, 1, b"") + PATH + HOP, GONE, GONE),
    ("7.1", "ORIGIN of two octets", attribute(0x40, 1, b"\0\0") + PATH + HOP, GONE, GONE),
    ("7.1", "undefined ORIGIN", attribute(0x40, 1, b"\3") + PATH + HOP, GONE, GONE),
    ("7.2", "unknown segment", path(b"\5\1\0\0\0\1"), GONE, GONE),
    ("7.2", "segment overruns", path(b"\2\2\0\0\0\1"), GONE, GONE),
    ("7.2", "one octet left", path(b"\2\1\0\0\0\1\2"), GONE, GONE),
    ("7.2", "segment of no AS", path(b"\2\0"), GONE, GONE),
    ("7.2", "empty path", path(b""), KEPT, KEPT),
    ("5065", "AS_CONFED_SEQUENCE", path(b"\3\1\0\0\0\1"), GONE, GONE),
    ("5065", "AS_CONFED_SET", path(b"\4\1\0\0\0\1"), GONE, GONE),
    ("7607", "AS 0", path(b"\2\1\0\0\0\0"), GONE, GONE),
    ("7.3", "NEXT_HOP of three octets", IGP + PATH + attribute(0x40, 3, b"\n\0\1"), GONE, GONE),
    ("7.3", "NEXT_HOP of five octets", IGP + PATH + attribute(0x40, 3, bytes(5)), GONE, GONE),
    ("7.4", "MED of three octets", GOOD + attribute(0x80, 4, bytes(3)), GONE, GONE),
    ("7.5", "LOCAL_PREF of five octets", GOOD + attribute(0x40, 5, bytes(5)), KEPT, GONE),
    ("7.6", "ATOMIC_AGGREGATE with a value", GOOD + attribute(0x40, 6, b"\1"), KEPT, KEPT),
    ("7.7", "AGGREGATOR of seven octets", GOOD + attribute(0xC0, 7, bytes(7)), KEPT, KEPT),
    ("7.8", "COMMUNITIES of five octets", GOOD + attribute(0xC0, 8, bytes(5)), GONE, GONE),
    ("7.8", "COMMUNITIES of none", GOOD + attribute(0xC0, 8, b""), GONE, GONE),
    ("7.9", "ORIGINATOR_ID of three octets", GOOD + attribute(0x80, 9, bytes(3)), KEPT, GONE),
    ("7.10", "CLUSTER_LIST of six octets", GOOD + attribute(0x80, 10, bytes(6)), KEPT, GONE),
    ("7.10", "CLUSTER_LIST of none", GOOD + attribute(0x80, 10, b""), KEPT, GONE),
    ("7.11", "MP_REACH_NLRI cut off", GOOD + reach(b"\0\2\1"), 9, 9),
    ("7.11", "next hop of three octets", GOOD + reach(b"\0\2\1\3\1\2\3\0"), 9, 9),
    ("7.11", "next hop beyond the attribute", GOOD + reach(b"\0\2\1\x10\1\2\0"), 9, 9),
    ("5.3", "prefix of /129", GOOD + reach(b"\0\2\1\x10" + HOP6 + b"\0\x81"), 9, 9),
    ("7.12", "MP_UNREACH_NLRI of two octets", GOOD + attribute(0x80, 15, b"\0\2"), 9, 9),
    ("7.14", "EXTENDED COMMUNITIES of nine", GOOD + attribute(0xC0, 16, bytes(9)), GONE, GONE),
    (
        "7.15",
        "IPv6 EXTENDED COMMUNITIES of nineteen",
        GOOD + attribute(0xC0, 25, bytes(19)),
        GONE,
        GONE,
    ),
    ("7.16", "ATTR_SET of three octets", GOOD + attribute(0xC0, 128, bytes(3)), GONE, GONE),
    ("8092", "LARGE_COMMUNITY of eleven", GOOD + attribute(0xC0, 32, bytes(11)), GONE, GONE),
    ("4271 9", "unknown optional attribute", GOOD + attribute(0xC0, 99, b"x"), KEPT, KEPT),
)
SIDES = [
    pytest.param(block, side, outcome, id=f"{section}: {what}, {name}")
    for section, what, block, outside, inside in RULES
    for name, side, outcome in (("outside", OUTSIDE, outside), ("inside", INSIDE, inside))
]


def outcome_of(raw: bytes, side: Negotiated) -> Outcome:
    """Return what becomes of the only IPv4 route of a message."""
    try:
        update = UpdateReader().read(raw, side)
    except UpdateError as error:
        return error.subcode
    announced = [p for change in update.changes for p in change.announced if p.family == 4]
    withdrawn = [p for change in update.changes for p in change.withdrawn if p.family == 4]
    assert (announced, withdrawn) in (([POD], []), ([], [POD]))
    assert bool(update.damage) == bool(withdrawn)
    return KEPT if announced else GONE


@pytest.mark.parametrize(("block", "side", "expected"), SIDES)
def test_rule(block: bytes, side: Negotiated, expected: Outcome) -> None:
    assert outcome_of(body(b"", block, nlri([POD])), side) == expected


@pytest.mark.parametrize(("block", "side", "expected"), SIDES)
def test_damage_without_a_route_to_withdraw_ends_the_session(
    block: bytes, side: Negotiated, expected: Outcome
) -> None:
    """Section 5.2; what is merely missing is no damage there."""
    if block in (PATH + HOP, IGP + HOP, IGP + PATH) or REACH6 in block:
        return
    try:
        update = UpdateReader().read(body(b"", block), side)
    except UpdateError as error:
        found: Outcome = error.subcode
    else:
        found = KEPT
        assert (update.changes, update.end_of_rib) == ((), None)
    assert found == (1 if expected == GONE else expected)


@pytest.mark.parametrize(
    ("raw", "subcode"),
    [
        pytest.param(b"\0\0\0", 1, id="shorter than its lengths"),
        pytest.param(b"\0\x05\0\0", 1, id="4271 6.3: withdrawn routes too long"),
        pytest.param(b"\0\0\0\x05", 1, id="4271 6.3: attributes too long"),
        pytest.param(body(b"\x21\n\0\0\0\0"), 10, id="5.3: withdrawn /33"),
        pytest.param(body(b"", GOOD, b"\x18\n\0"), 10, id="5.3: NLRI cut off"),
        pytest.param(
            body(b"", GOOD + REACH6[:-1], nlri([POD])), 9, id="3 j: MP_REACH_NLRI beyond the field"
        ),
        pytest.param(
            body(b"", GOOD + b"\x80\x0f\x15\0\2\1", nlri([POD])),
            9,
            id="3 j: MP_UNREACH_NLRI beyond the field",
        ),
    ],
)
def test_what_cannot_be_told_apart(raw: bytes, subcode: int) -> None:
    assert outcome_of(raw, OUTSIDE) == subcode


def test_what_hides_the_routes_of_the_only_family_ends_the_session() -> None:
    """An attribute beyond the field may hide MP_REACH_NLRI, and IPv4 routes do not count here."""
    side = OUTSIDE._replace(families=frozenset({6}))
    for routes in (b"", nlri([POD])):
        with pytest.raises(UpdateError):
            UpdateReader().read(body(b"", GOOD + b"\xc0\x08\x44", routes), side)


def test_damage_beside_routes_in_an_attribute_withdraws_those() -> None:
    raw = body(b"", REACH6 + IGP + PATH + attribute(0xC0, 8, b"\0"))
    update = UpdateReader().read(raw, OUTSIDE)
    assert [list(change.withdrawn) for change in update.changes] == [[POD6]]
    assert update.damage == "COMMUNITIES has 1 octets"
