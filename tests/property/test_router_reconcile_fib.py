"""Properties of the FIB plan, against a model of the kernel that refuses what the kernel does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bgp.nlri import IPV4, Prefix
from router.model.fib import Fib, Hop, Route
from router.reconcile.fib import Want, plan_prune, plan_routes, plan_unused
from router.reconcile.operation import (
    DeleteNexthop,
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoute,
    record,
)

HOPS = [Hop(IPV4, gateway, ifindex) for gateway, ifindex in ((1, 1), (2, 2), (3, 2))]
PREFIXES = [Prefix(IPV4, number << 8, 24) for number in range(6)]

hop_sets = st.sets(st.sampled_from(HOPS), min_size=1).map(lambda hops: tuple(sorted(hops)))
wants = st.builds(Want, hop_sets, st.sampled_from([120, 130]), st.sampled_from([0, 9]))
wanted_maps = st.dictionaries(st.sampled_from(PREFIXES), wants)


def check(fib: Fib, operation: Operation) -> None:
    """Refuse what the kernel would refuse, or what would cut off a route."""
    match operation:
        case WriteHop(identifier, _):
            assert identifier not in fib.groups
            assert identifier not in fib.foreign_ids
        case WriteGroup(identifier, members):
            assert members
            assert all(member in fib.nexthops for member in members)
            assert identifier not in fib.nexthops
            assert identifier not in fib.foreign_ids
        case WriteRoute(prefix, route, replacing):
            assert route.group in fib.groups
            held = fib.routes.get(prefix)
            if replacing:
                assert held is not None
                assert held.metric == route.metric
            else:
                assert held is None or held.metric != route.metric
        case DeleteNexthop(identifier):
            assert all(route.group != identifier for route in fib.routes.values())
            assert all(
                identifier not in members
                for group, members in fib.groups.items()
                if any(route.group == group for route in fib.routes.values())
            )
        case _:
            pass


def carry_out(fib: Fib, plan: list[Operation]) -> None:
    for operation in plan:
        check(fib, operation)
        record(fib, operation)


def is_as_wanted(fib: Fib, wanted: dict[Prefix, Want]) -> bool:
    return fib.routes.keys() == wanted.keys() and all(
        fib.hops_of(route.group) == wanted[prefix].hops
        and (route.metric, route.source) == (wanted[prefix].metric, wanted[prefix].source)
        for prefix, route in fib.routes.items()
    )


@given(st.lists(wanted_maps, min_size=1, max_size=5))
@settings(max_examples=300)
def test_each_plan_reaches_what_is_wanted_and_a_second_is_empty(
    history: list[dict[Prefix, Want]],
) -> None:
    fib = Fib(foreign_ids=frozenset({0x7072_0000}))
    for wanted in history:
        carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set()))
        assert is_as_wanted(fib, wanted)
        carry_out(fib, plan_unused(fib))
        assert is_as_wanted(fib, wanted)
        assert plan_routes(fib, wanted, PREFIXES, keep=set()) == []
        assert plan_unused(fib) == []
        assert set(fib.groups) == {route.group for route in fib.routes.values()}


@given(wanted_maps, wanted_maps, st.sets(st.sampled_from(HOPS)))
def test_the_kernel_losing_a_link_is_repaired(
    wanted: dict[Prefix, Want], after: dict[Prefix, Want], lost: set[Hop]
) -> None:
    fib = Fib()
    carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set()))
    fib.nexthops = {i: hop for i, hop in fib.nexthops.items() if hop not in lost}
    fib.groups = {
        group: left
        for group, members in fib.groups.items()
        if (left := tuple(m for m in members if m in fib.nexthops))
    }
    fib.routes = {p: route for p, route in fib.routes.items() if route.group in fib.groups}
    carry_out(fib, plan_routes(fib, after, PREFIXES, keep=set()))
    assert is_as_wanted(fib, after)


@given(wanted_maps, wanted_maps, st.sets(st.sampled_from(PREFIXES)))
def test_routes_to_keep_stay_and_only_they(
    wanted: dict[Prefix, Want], after: dict[Prefix, Want], keep: set[Prefix]
) -> None:
    fib = Fib()
    carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set()))
    carry_out(fib, plan_routes(fib, after, PREFIXES, keep=keep))
    assert fib.routes.keys() == after.keys() | (wanted.keys() & keep)


@given(wanted_maps, st.sampled_from(HOPS))
def test_pruning_empties_no_group_and_leaves_no_dead_hop_beside_a_live_one(
    wanted: dict[Prefix, Want], dead: Hop
) -> None:
    fib = Fib()
    carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set()))
    carry_out(fib, plan_prune(fib, lambda hop: hop == dead))
    for group in fib.groups:
        hops = fib.hops_of(group)
        assert hops == (dead,) or dead not in hops


def test_losing_a_tor_is_one_message_whatever_the_number_of_routes() -> None:
    fib = Fib()
    both = Want(hops=tuple(HOPS[:2]), metric=120, source=0)
    wanted = {Prefix(IPV4, number << 8, 24): both for number in range(500)}
    carry_out(fib, plan_routes(fib, wanted, wanted, keep=set()))
    one = {prefix: both._replace(hops=(HOPS[0],)) for prefix in wanted}
    plan = plan_routes(fib, one, one, keep=set())
    assert [type(operation) for operation in plan] == [WriteGroup]
    carry_out(fib, plan)
    assert is_as_wanted(fib, one)


def test_a_plan_says_what_it_does() -> None:
    fib = Fib(routes={PREFIXES[5]: Route(7, 120, 0)}, groups={7: (6,)}, nexthops={6: HOPS[2]})
    wanted = {PREFIXES[1]: Want((HOPS[0],), 120, 0)}
    plan = plan_routes(replace(fib), wanted, PREFIXES, keep=set())
    assert [operation.describe() for operation in plan] == [
        "nexthop 1886519296: 0.0.0.1 on link 1",
        "nexthop group 1886519297: 1886519296",
        "install 0.0.1.0/24 nhid 1886519297 metric 120",
        "remove 0.0.5.0/24 metric 120",
    ]
