"""Who else announces a pod CIDR of ours: what counts, and what may be our own come back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from bgp.policy import AS_LOOP
from bgp.rib import Rejection
from router.reconcile.foreign import around, foreign

CIDR = Prefix.parse("10.244.1.0/24")


def rejected(
    next_hop: str, *path: int, prefix: Prefix = CIDR, reason: str = "is own pod CIDR"
) -> tuple[Prefix, Rejection]:
    attributes = Attributes(next_hop=ip_address(next_hop), as_path=path)
    return prefix, Rejection(PeerId("tor1"), attributes, reason)


@pytest.mark.parametrize(
    ("refused", "certain"),
    [
        (rejected("10.0.1.2", 65101, 65202), [True]),
        (rejected("10.0.1.2", 65101), [True]),
        (rejected("10.0.1.2", 65101, 65100, 65101), [False]),
        (rejected("10.0.1.2", 65101, 65101), [False]),
        (rejected("10.0.1.2", 65101, 65201, reason=AS_LOOP), [False]),
        (rejected("10.0.1.2", 65101, 65201), [False]),
        (rejected("10.0.1.2", 65101, 65299), [False]),
        (rejected("192.0.2.9"), [True]),
        (rejected("10.0.1.3"), []),
        (rejected("10.0.1.3", 65101), []),
    ],
    ids=[
        "other AS",
        "a ToR's",
        "as-override",
        "as-override, one ToR",
        "loop",
        "own AS",
        "local-as",
        "iBGP",
        "own hop iBGP",
        "own hop",
    ],
)
def test_what_is_heard_from_elsewhere(
    refused: tuple[Prefix, Rejection], certain: list[bool]
) -> None:
    found = foreign(
        [refused], asns={65201, 65299}, is_ours=lambda address: str(address) == "10.0.1.3"
    )
    assert [each.is_certain for each in found] == certain


def test_a_routers_aggregate_is_not_a_node_s_cidr() -> None:
    lengths = [prefix.length for prefix in around(CIDR)]
    assert lengths == [20, 21, 22, 23, 24]
    assert all(prefix.covers(CIDR) for prefix in around(CIDR))
