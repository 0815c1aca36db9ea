"""UPDATE messages byte by byte: what they say, and what damage to them means (RFC 7606)."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest

from bgp.nlri import Prefix
from bgp.path import Attributes, Origin
from bgp.update import Negotiated, UpdateError, UpdateReader
from tests.support.bgp_wire import (
    END_OF_RIB,
    IGP,
    announcement,
    as_path,
    attribute,
    body,
    next_hop,
    nlri,
    withdrawal,
)

BOTH = Negotiated(frozenset({4, 6}))
POD, OTHER = Prefix.parse("10.244.2.0/24"), Prefix.parse("10.244.3.0/26")
POD6 = Prefix.parse("fd00:244:2::/64")
GOOD = IGP + as_path(65101, 65202) + next_hop("10.0.1.2")
HOP6 = ip_address("fd00:0:1::2").packed
LINK_LOCAL = ip_address("fe80::1").packed


def reach(hop: bytes, *prefixes: Prefix, afi: int = 2) -> bytes:
    value = bytes((0, afi, 1, len(hop))) + hop + b"\0" + nlri(prefixes)
    return attribute(0x80, 14, value)


def read(raw: bytes, negotiated: Negotiated = BOTH) -> list[tuple[object, ...]]:
    update = UpdateReader().read(raw, negotiated)
    return [(c.attributes, list(c.announced), list(c.withdrawn)) for c in update.changes]


def test_a_captured_update_of_frr() -> None:
    raw = bytes.fromhex(
        "0000 0014 40010100 40020a020200 00fe4d0000feb2 4003040a000102 180af402".replace(
            " ", ""
        ).replace("0014", "0018")
    )
    assert read(raw) == [
        (
            Attributes(next_hop=ip_address("10.0.1.2"), as_path=(65101, 65202)),
            [POD],
            [],
        )
    ]


def test_every_attribute_that_is_kept() -> None:
    block = b"".join(
        (
            attribute(0x40, 1, b"\2"),
            attribute(0x40, 2, bytes.fromhex("0201 0000fe4d 0102 00000003 00000001")),
            next_hop("10.0.1.2"),
            attribute(0x80, 4, (5).to_bytes(4, "big")),
            attribute(0x40, 5, (200).to_bytes(4, "big")),
            attribute(0x40, 6, b""),
            attribute(0xC0, 7, bytes(8)),
            attribute(0xC0, 8, bytes.fromhex("ffff0000 fde80007")),
            attribute(0xC0, 16, bytes(8)),
            attribute(0xC0, 32, (1).to_bytes(4, "big") * 3),
            attribute(0xC0, 99, b"unknown and optional"),
        )
    )
    inside = BOTH._replace(internal=True)
    ((attributes, new, gone),) = read(body(nlri([OTHER, POD]), block, nlri([POD])), inside)
    assert (new, gone) == ([POD], [OTHER])
    assert attributes == Attributes(
        next_hop=ip_address("10.0.1.2"),
        as_path=(65101,),
        as_sets=((1, 3),),
        origin=Origin.INCOMPLETE,
        med=5,
        local_preference=200,
        communities=((65535, 0), (65000, 7)),
        large_communities=((1, 1, 1),),
    )


@pytest.mark.parametrize("family", [4, 6])
def test_end_of_rib(family: int) -> None:
    assert UpdateReader().read(END_OF_RIB[family], BOTH).end_of_rib == family
    other = Negotiated(frozenset({10 - family}))
    assert UpdateReader().read(END_OF_RIB[family], other) == ((), None, "")


def test_ipv6_comes_and_goes() -> None:
    ((attributes, new, gone),) = read(announcement([POD6], "fd00:0:1::2", 65101, 65202))
    assert attributes == Attributes(next_hop=ip_address("fd00:0:1::2"), as_path=(65101, 65202))
    assert (new, gone) == ([POD6], [])
    assert read(withdrawal([POD6])) == [(None, [], [POD6])]


def test_ipv4_with_a_next_hop_of_ipv6() -> None:
    ((attributes, new, _),) = read(body(b"", reach(HOP6, POD, afi=1) + IGP + as_path(65101)))
    assert isinstance(attributes, Attributes)
    assert (str(attributes.next_hop), new) == ("fd00:0:1::2", [POD])


@pytest.mark.parametrize(
    ("pair", "chosen"),
    [
        (HOP6 + LINK_LOCAL, "fd00:0:1::2"),
        (LINK_LOCAL + HOP6, "fd00:0:1::2"),
        (bytes(16) + LINK_LOCAL, "fe80::1"),
    ],
)
def test_one_half_of_a_pair_of_next_hops_is_taken(pair: bytes, chosen: str) -> None:
    raw = body(b"", reach(pair, POD6) + IGP + as_path(65101))
    ((attributes, _, _),) = read(raw)
    assert isinstance(attributes, Attributes)
    assert str(attributes.next_hop) == chosen


@pytest.mark.parametrize(
    "hop",
    [
        LINK_LOCAL,
        LINK_LOCAL + LINK_LOCAL,
        HOP6 + LINK_LOCAL,
        bytes(16) + LINK_LOCAL,
        HOP6,
        bytes(16),
    ],
)
@pytest.mark.parametrize(("prefix", "afi"), [(POD, 1), (POD6, 2)])
def test_what_a_peer_by_interface_announces_goes_via_that_peer(
    hop: bytes, prefix: Prefix, afi: int
) -> None:
    via = IPv6Address("fe80::1%eth1")
    raw = body(b"", reach(hop, prefix, afi=afi) + IGP + as_path(65101))
    ((attributes, new, _),) = read(raw, BOTH._replace(via=via))
    assert isinstance(attributes, Attributes)
    assert (str(attributes.next_hop), new) == ("fe80::1%eth1", [prefix])
    assert attributes.next_hop != IPv6Address("fe80::1%eth2")


def test_a_classic_next_hop_of_a_peer_by_interface_is_not_used() -> None:
    via = IPv6Address("fe80::1%eth1")
    ((attributes, new, _),) = read(announcement([POD], "10.0.1.2", 65101), BOTH._replace(via=via))
    assert isinstance(attributes, Attributes)
    assert (attributes.next_hop, new) == (via, [POD])


def test_both_families_in_one_message() -> None:
    unreach = attribute(0x80, 15, b"\0\2\1" + nlri([POD6]))
    changes = read(body(nlri([OTHER]), reach(HOP6, POD6) + GOOD + unreach, nlri([POD])))
    assert [(new, gone) for _, new, gone in changes] == [
        ([POD], [OTHER]),
        ([], [POD6]),
        ([POD6], []),
    ]


def test_families_that_were_not_negotiated_are_ignored() -> None:
    raw = body(b"", reach(HOP6, POD6) + GOOD, nlri([POD]))
    assert [new for _, new, _ in read(raw, Negotiated(frozenset({4})))] == [[POD]]
    assert [new for _, new, _ in read(raw, Negotiated(frozenset({6})))] == [[POD6]]


def test_numbers_of_four_octets_from_a_peer_of_two() -> None:
    old = Negotiated(frozenset({4}), asn_size=2)
    path = attribute(0x40, 2, bytes.fromhex("0203 fe4d 5ba0 5ba0"))
    new = attribute(0xC0, 17, bytes.fromhex("0202 00011170 00011171"))
    longer = attribute(0xC0, 17, bytes.fromhex("0204") + bytes.fromhex("00000001") * 4)
    paths = []
    for extra in (new, longer, attribute(0xC0, 17, b"\2")):
        ((attributes, _, _),) = read(body(b"", IGP + path + GOOD[-7:] + extra, nlri([POD])), old)
        assert isinstance(attributes, Attributes)
        paths.append(attributes.as_path)
    assert paths == [(65101, 70000, 70001), (65101, 23456, 23456), (65101, 23456, 23456)]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (GOOD[4:], "ORIGIN is missing"),
        (IGP + next_hop("10.0.1.2"), "AS_PATH is missing"),
        (GOOD[:-7], "NEXT_HOP is missing"),
        (attribute(0x40, 1, b"\3") + GOOD[4:], "ORIGIN is 03"),
        (attribute(0x80, 1, b"\0") + GOOD[4:], "attribute 1 has flags 0x80"),
        (GOOD[:-7] + attribute(0x40, 3, b"\n\0\0"), "NEXT_HOP has 3 octets"),
        (GOOD[:-7] + next_hop("0.0.0.0"), "next hop 0.0.0.0"),
        (GOOD[:-7] + next_hop("224.0.0.1"), "next hop 224.0.0.1"),
        (IGP + attribute(0x40, 2, b"\2\2\0\0\0\1") + GOOD[-7:], "AS_PATH segment is cut off"),
        (IGP + attribute(0x40, 2, b"\2\0") + GOOD[-7:], "AS_PATH segment is empty or cut off"),
        (IGP + attribute(0x40, 2, b"\3\1\0\0\0\1") + GOOD[-7:], "AS_PATH segment of type 3"),
        (IGP + as_path(65101, 0) + GOOD[-7:], "AS 0 in AS_PATH"),
        (GOOD + attribute(0x80, 4, b"\0"), "MULTI_EXIT_DISC has 1 octets"),
        (GOOD + attribute(0xC0, 8, b"\0"), "COMMUNITIES has 1 octets"),
        (GOOD + attribute(0xC0, 32, b""), "LARGE_COMMUNITY has 0 octets"),
        (GOOD + attribute(0xC0, 16, b"\0"), "EXTENDED COMMUNITIES has 1 octets"),
        (GOOD + b"\x80\x04\x05\0", "attribute 4 is 4 octets too long"),
        (GOOD + b"\x80\x04", "attribute header is cut off"),
    ],
)
def test_damaged_attributes_withdraw_the_routes(block: bytes, words: str) -> None:
    update = UpdateReader().read(body(nlri([OTHER]), block, nlri([POD])), BOTH)
    (change,) = update.changes
    assert (change.attributes, change.announced) == (None, ())
    assert set(change.withdrawn) == {POD, OTHER}
    assert update.damage == words


def test_damage_also_withdraws_routes_in_attributes() -> None:
    raw = body(b"", reach(HOP6, POD6) + IGP + attribute(0xC0, 8, b"\0"))
    update = UpdateReader().read(raw, BOTH)
    assert [list(c.withdrawn) for c in update.changes] == [[POD6]]
    assert update.damage


def test_of_an_attribute_that_comes_twice_the_first_counts() -> None:
    ((attributes, _, _),) = read(body(b"", GOOD + next_hop("10.0.9.9"), nlri([POD])))
    assert isinstance(attributes, Attributes)
    assert str(attributes.next_hop) == "10.0.1.2"


@pytest.mark.parametrize(
    ("raw", "subcode"),
    [
        (b"", 1),
        (b"\0\xff\0\0", 1),
        (b"\0\0\0\xff", 1),
        (body(b"", GOOD, b"\x21\n\0\0\0\0"), 10),
        (body(b"", GOOD, b"\x18\n\0"), 10),
        (body(b"\x18\n\0"), 10),
        (body(b"", GOOD + reach(HOP6, POD6) * 2), 1),
        (body(b"", GOOD + attribute(0x80, 14, b"\0\2\1\x10")), 9),
        (body(b"", GOOD + reach(b"\1\2\3", POD6)), 9),
        (body(b"", GOOD + attribute(0x80, 15, b"\0")), 9),
        (body(b"", GOOD + attribute(0x80, 15, b"\0\2\1\x81")), 9),
        (body(b"", GOOD + attribute(0x40, 77, b"must know"), nlri([POD])), 2),
    ],
)
def test_what_cannot_be_told_apart_ends_the_session(raw: bytes, subcode: int) -> None:
    with pytest.raises(UpdateError) as caught:
        UpdateReader().read(raw, BOTH)
    assert caught.value.subcode == subcode


def test_equal_attributes_are_one_object_and_paths_differ() -> None:
    reader = UpdateReader()
    first, second, third = (
        reader.read(announcement([POD], "10.0.1.2", *path), BOTH).changes[0].attributes
        for path in ((65101, 1), (65101, 1), (65101, 2, 3))
    )
    assert first is second
    assert first is not None
    assert third is not None
    assert (third.common, third.as_path) == (first.common, (65101, 2, 3))
    other = reader.read(announcement([POD], "10.0.1.2", 65101, 1), Negotiated(frozenset({4}), 2))
    assert other.damage, "four octets are not two times two"


def test_a_hundred_thousand_prefixes_come_out_as_they_went_in() -> None:
    prefixes = [Prefix(4, (10 << 24) + (i << 8), 24) for i in range(100_000)]
    bodies = [
        announcement(prefixes[i : i + 1000], "10.0.1.2", 65101) for i in range(0, 100_000, 1000)
    ]
    reader = UpdateReader()
    read_back = [p for raw in bodies for c in reader.read(raw, BOTH).changes for p in c.announced]
    assert read_back == prefixes
