"""The next hop of the family that is not that of its session."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any

import pytest

from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from router.model.link import Link, Links
from router.reconcile.announce import NextHops, next_hops

BOTH = frozenset({4, 6})
NODE = (ip_address("10.255.1.1"), ip_address("fd00:255:1::1"))


def links(*addresses: str) -> Links:
    return Links.of(
        Link(
            index=index,
            name=name,
            up=True,
            carrier=True,
            mtu=1500,
            addresses=tuple(map(ip_interface, given)),
        )
        for index, name, given in (
            (1, "lo", ("10.255.1.1/32", "fd00:255:1::1/128")),
            (2, "eth1", addresses),
        )
    )


def peer(address: str, **changes: Any) -> PeerSettings:
    values: dict[str, Any] = {"families": BOTH, "remote_asn": 65101, "local_asn": 65201}
    return PeerSettings(name=PeerId("tor"), address=ip_address(address), **{**values, **changes})


@pytest.mark.parametrize(
    ("address", "on_link", "found"),
    [
        ("10.0.1.2", ("10.0.1.3/31", "fe80::3/64", "fd00:0:1::3/127"), "fd00:0:1::3"),
        ("fd00:0:1::2", ("10.0.1.3/31", "fe80::3/64", "fd00:0:1::3/127"), "10.0.1.3"),
        # Behind a router: an address of the node.
        ("192.0.2.1", ("10.0.1.3/31",), "fd00:255:1::1"),
    ],
)
def test_it_is_ours_and_can_be_reached(address: str, on_link: tuple[str, ...], found: str) -> None:
    got = next_hops([peer(address)], NODE, links(*on_link))
    assert got == NextHops({"tor": ip_address(found)}, {})


@pytest.mark.parametrize(
    ("address", "on_link", "family", "words"),
    [
        ("10.0.1.2", ("10.0.1.3/31", "fe80::3/64"), 6, "link eth1 has no global IPv6 address"),
        ("fd00:0:1::2", ("fd00:0:1::3/127",), 4, "link eth1 has no IPv4 address"),
    ],
)
def test_without_one_there_is_a_reason(
    address: str, on_link: tuple[str, ...], family: int, words: str
) -> None:
    got = next_hops([peer(address)], NODE, links(*on_link))
    assert got.found == {}
    assert got.missing[PeerId("tor")][0] == family
    assert words in got.missing[PeerId("tor")][1]


def test_who_needs_none_has_none() -> None:
    one = peer("10.0.1.2", families=frozenset({4}))
    assert next_hops([one], NODE, links("10.0.1.3/31")) == NextHops({}, {})
