"""What a change of links may have taken from the FIB."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

import pytest

from router.model.fib import Hop
from router.model.link import Link, Links
from router.reconcile.learned import resolve

ETH1 = Link(
    index=2, name="eth1", up=True, carrier=True, mtu=1500, addresses=(IPv4Interface("10.0.1.3/31"),)
)
MORE = replace(ETH1, addresses=(*ETH1.addresses, IPv6Interface("fe80::1/64")))
DOWN = replace(ETH1, carrier=False)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        ((), (ETH1,), False),
        ((ETH1,), (MORE,), False),
        ((DOWN,), (ETH1,), False),
        ((MORE,), (ETH1,), True),
        ((ETH1,), (DOWN,), True),
        ((ETH1,), (), True),
        ((ETH1,), (replace(ETH1, index=9),), True),
        ((ETH1,), (replace(ETH1, mtu=9000),), False),
    ],
)
def test_only_what_went_may_have_taken_something(
    before: tuple[Link, ...], after: tuple[Link, ...], lost: bool
) -> None:
    assert Links.of(after).has_lost(Links.of(before)) is lost


def test_a_link_local_next_hop_is_on_its_peer_s_link() -> None:
    eth2 = replace(
        ETH1, index=3, name="eth2", addresses=(IPv4Interface("10.0.2.3/31"), MORE.addresses[1])
    )
    links = Links.of((MORE, eth2))
    for zone, found in (("10.0.2.2", eth2), ("eth1", MORE), ("10.0.9.2", None), ("eth9", None)):
        assert links.toward(IPv6Address(f"fe80::9%{zone}")) == found, zone


@pytest.mark.parametrize(
    ("own", "next_hop", "reason"),
    [
        ("10.0.2.3/24", "10.0.2.2", None),
        ("10.0.2.3/24", "10.0.2.255", "the broadcast address of link eth2"),
        ("10.0.2.2/31", "10.0.2.3", None),
        ("10.0.2.3/24", "10.0.2.3", "this node's own address"),
        ("10.0.2.4/24", "10.0.2.3", "this node's own address"),
    ],
)
def test_what_cannot_be_a_next_hop_is_told(own: str, next_hop: str, reason: str | None) -> None:
    """The kernel would refuse it; and our own address may lie in another of our networks, too."""
    mine = [IPv4Interface(own)]
    if own == "10.0.2.4/24":
        mine.append(IPv4Interface("10.0.2.3/24"))
    links = Links.of((replace(ETH1, name="eth2", addresses=tuple(mine)),))
    answer = resolve(IPv4Address(next_hop), links)
    assert isinstance(answer, Hop) if reason is None else str(answer).endswith(reason)
