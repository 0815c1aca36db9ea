"""What a change of links may have taken from the FIB."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

import pytest

from router.model.link import Link, Links

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
