"""Which addresses are announced together, and in which order one replaces the other."""

from __future__ import annotations

import pytest

from bgp.nlri import Prefix
from router.model.aggregate import Rejections
from router.reconcile.rejections import RejectionPlan, plan_rejections
from router.reconcile.service_aggregates import (
    AggregateSettings,
    Grouping,
    Replacing,
    Surroundings,
    group,
)

BY_24 = AggregateSettings(ipv4=24, ipv6=112)
AROUND = Surroundings(services=(Prefix.parse("203.0.112.0/22"), Prefix.parse("2001:db8:cafe::/64")))


def prefixes(*texts: str) -> frozenset[Prefix]:
    return frozenset(map(Prefix.parse, texts))


NET, OTHER_NET = prefixes("203.0.113.0/24"), prefixes("203.0.114.0/24")


def grouped(
    *addresses: str,
    here: tuple[str, ...] = (),
    settings: AggregateSettings = BY_24,
    around: Surroundings = AROUND,
) -> Grouping:
    every = prefixes(*addresses)
    return group(every, every - prefixes(*here), settings, around)


def test_addresses_that_every_node_serves_are_one_prefix() -> None:
    found = grouped("203.0.113.1", "203.0.113.9", "203.0.114.1", "2001:db8:cafe::1")
    assert found.singles == frozenset()
    assert found.aggregates == NET | OTHER_NET | prefixes("2001:db8:cafe::/112")
    assert found.networks(found.aggregates, keep_single=False) == found.aggregates


def test_what_only_some_nodes_serve_stays_by_itself() -> None:
    found = grouped("203.0.113.1", "203.0.113.9", here=("203.0.113.9",))
    assert found.networks(NET, keep_single=False) == NET | prefixes("203.0.113.9")
    alone = grouped("203.0.113.9", here=("203.0.113.9",))
    assert alone.aggregates == frozenset()


def test_beside_single_addresses() -> None:
    found = grouped("203.0.113.1")
    assert found.networks(NET, keep_single=True) == NET | prefixes("203.0.113.1")


def test_one_by_one_until_the_unused_are_rejected() -> None:
    found = grouped("203.0.113.1", "203.0.114.1")
    assert found.networks(NET, keep_single=False) == NET | prefixes("203.0.114.1")


def test_a_family_without_a_length_has_no_aggregates() -> None:
    found = grouped("203.0.113.1", "2001:db8:cafe::1", settings=AggregateSettings(ipv4=24))
    assert found.singles == prefixes("2001:db8:cafe::1")


@pytest.mark.parametrize(
    ("around", "why"),
    [
        pytest.param(Surroundings(), "does not lie inside cluster.service_prefixes", id="outside"),
        pytest.param(
            AROUND._replace(taken=prefixes("203.0.113.200")),
            "covers 203.0.113.200/32, which is no service's",
            id="somebody's address",
        ),
        pytest.param(
            AROUND._replace(elsewhere=prefixes("203.0.113.77")),
            "203.0.113.77/32 in it has ipMode Proxy",
            id="served elsewhere",
        ),
    ],
)
def test_where_an_aggregate_would_draw_what_is_not_ours(around: Surroundings, why: str) -> None:
    found = grouped("203.0.113.1", "203.0.113.2", around=around)
    assert found.aggregates == frozenset()
    assert found.singles == prefixes("203.0.113.1", "203.0.113.2")
    ((refused, reason),) = found.refused.items()
    assert {refused} == NET
    assert why in reason


def test_what_replaces_is_acknowledged_before_what_is_replaced_goes() -> None:
    made = Replacing()
    one = prefixes("203.0.113.1")
    other = prefixes("198.51.100.1")

    def step(wanted: frozenset[Prefix], *, acknowledged: bool) -> frozenset[Prefix]:
        return made.networks(wanted, one | NET | other, is_acknowledged=lambda: acknowledged)

    assert step(one | other, acknowledged=True) == one | other
    # What nothing replaces goes at once.
    assert step(NET, acknowledged=True) == NET | one
    assert step(NET, acknowledged=False) == NET | one
    assert step(NET, acknowledged=True) == NET
    # And back.
    assert step(one, acknowledged=True) == NET | one
    assert step(one, acknowledged=True) == one


def test_what_does_not_change_is_the_same_object() -> None:
    made = Replacing()
    one = prefixes("203.0.113.1")
    first = made.networks(one, one, is_acknowledged=lambda: False)
    again = made.networks(prefixes("203.0.113.1"), one, is_acknowledged=lambda: False)
    assert again is first


def test_an_address_that_nobody_serves_any_more_is_not_kept() -> None:
    made = Replacing()
    one = prefixes("203.0.113.1")
    made.networks(one, one, is_acknowledged=lambda: True)
    assert made.networks(NET, NET, is_acknowledged=lambda: False) == NET


@pytest.mark.parametrize(
    ("found", "wanted", "plan"),
    [
        pytest.param(Rejections(), frozenset(), RejectionPlan(), id="nothing"),
        pytest.param(
            Rejections(),
            NET,
            RejectionPlan(make_table=True, add=tuple(NET)),
            id="the first",
        ),
        pytest.param(
            Rejections(exists=True, is_whole=True, prefixes=NET),
            OTHER_NET,
            RejectionPlan(add=tuple(OTHER_NET), remove=tuple(NET)),
            id="another",
        ),
        pytest.param(
            Rejections(exists=True, is_whole=True, prefixes=NET),
            NET,
            RejectionPlan(),
            id="as it is",
        ),
        pytest.param(
            Rejections(exists=True, prefixes=NET),
            NET,
            RejectionPlan(remove_table=True, make_table=True, add=tuple(NET)),
            id="somebody changed it",
        ),
        pytest.param(
            Rejections(exists=True, is_whole=True, prefixes=NET),
            frozenset(),
            RejectionPlan(remove_table=True),
            id="no more",
        ),
        pytest.param(
            Rejections(exists=True, is_whole=True, prefixes=NET),
            NET | prefixes("203.0.113.0/25"),
            RejectionPlan(),
            id="inside another",
        ),
    ],
)
def test_plans(found: Rejections, wanted: frozenset[Prefix], plan: RejectionPlan) -> None:
    assert plan_rejections(found, wanted) == plan
