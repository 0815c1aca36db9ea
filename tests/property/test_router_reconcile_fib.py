"""Properties of the FIB plan, against a model of the kernel that refuses what the kernel does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bgp.nlri import IPV4, Prefix
from router.model.fib import Fib, Form, Hop, Route
from router.reconcile.fib import plan_prune, plan_routes, plan_unused
from router.reconcile.form import Want
from router.reconcile.operation import (
    DeleteNexthop,
    DeleteRoutes,
    Operation,
    WriteGroup,
    WriteHop,
    WriteRoutes,
    each,
    record,
)

HOPS = [Hop(IPV4, gateway, ifindex) for gateway, ifindex in ((1, 1), (2, 2), (3, 2))]
PREFIXES = [Prefix(IPV4, number << 8, 24) for number in range(6)]

hop_sets = st.sets(st.sampled_from(HOPS), min_size=1).map(lambda hops: tuple(sorted(hops)))
wants = st.builds(Want, hop_sets, st.sampled_from([120, 130]), st.sampled_from([0, 9]))
forms = st.sampled_from(Form)
foreign_routes = st.builds(
    Route, st.just(0), st.sampled_from([120, 130]), st.just(0), st.just(()) | hop_sets
)
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
        case WriteRoutes((prefix,), route, replacing):
            assert route.group in fib.groups or (not route.group and route.hops)
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
        if isinstance(operation, WriteRoutes | DeleteRoutes):
            alike = {(prefix.family, prefix.length == 0) for prefix in operation.prefixes}
            assert len(alike) == 1
    for operation in each(plan):
        check(fib, operation)
        record(fib, operation)


def is_as_wanted(fib: Fib, wanted: dict[Prefix, Want], form: Form = Form.OBJECTS) -> bool:
    return fib.routes.keys() == wanted.keys() and all(
        fib.hops_of(route) == wanted[prefix].hops
        and route.form is form
        and (route.metric, route.source) == (wanted[prefix].metric, wanted[prefix].source)
        for prefix, route in fib.routes.items()
    )


@given(st.lists(st.tuples(wanted_maps, forms), min_size=1, max_size=5))
@settings(max_examples=300)
def test_each_plan_reaches_what_is_wanted_and_a_second_is_empty(
    history: list[tuple[dict[Prefix, Want], Form]],
) -> None:
    """Also where agents of different forms follow each other."""
    fib = Fib(foreign_ids=frozenset({0x7072_0000}))
    for wanted, form in history:
        carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set(), form=form))
        assert is_as_wanted(fib, wanted, form)
        carry_out(fib, plan_unused(fib))
        assert is_as_wanted(fib, wanted, form)
        assert plan_routes(fib, wanted, PREFIXES, keep=set(), form=form) == []
        assert plan_unused(fib) == []
        assert set(fib.groups) == {route.group for route in fib.routes.values() if route.group}


@given(wanted_maps, st.dictionaries(st.sampled_from(PREFIXES), foreign_routes), forms)
def test_what_others_made_of_our_routes_is_repaired(
    wanted: dict[Prefix, Want], others: dict[Prefix, Route], form: Form
) -> None:
    """A form that nobody wants (no next hops at all) among them; replaced, never removed first."""
    fib = Fib()
    carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set(), form=form))
    fib.routes |= others
    plan = plan_routes(fib, wanted, PREFIXES, keep=set(), form=form)
    carry_out(fib, plan)
    assert is_as_wanted(fib, wanted, form)
    removed = {
        p for o in plan if isinstance(o, DeleteRoutes) and o.metric == 120 for p in o.prefixes
    }
    assert not {p for p in removed & wanted.keys() if wanted[p].metric == 120}


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


@given(wanted_maps, st.sampled_from(HOPS), forms)
def test_pruning_takes_every_route_off_a_dead_hop_unless_it_has_no_other(
    wanted: dict[Prefix, Want], dead: Hop, form: Form
) -> None:
    fib = Fib()
    carry_out(fib, plan_routes(fib, wanted, PREFIXES, keep=set(), form=form))
    carry_out(fib, plan_prune(fib, lambda hop: hop == dead, form))
    for prefix, route in fib.routes.items():
        left = tuple(hop for hop in wanted[prefix].hops if hop != dead)
        assert fib.hops_of(route) == (left or (dead,))
    assert plan_prune(fib, lambda hop: hop == dead, form) == []


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


def test_in_the_plain_form_each_route_is_a_message_and_nothing_else_is() -> None:
    fib = Fib(routes={PREFIXES[2]: Route(7, 120, 0)}, groups={7: (6,)}, nexthops={6: HOPS[2]})
    both = Want(hops=tuple(HOPS[:2]), metric=120, source=0)
    wanted = {PREFIXES[1]: both, PREFIXES[2]: Want((HOPS[0],), 120, 0)}
    plan = plan_routes(fib, wanted, wanted, keep=set(), form=Form.PLAIN)
    assert [operation.describe() for operation in each(plan)] == [
        "install 0.0.1.0/24 via 0.0.0.1 on link 1, 0.0.0.2 on link 2 metric 120",
        "replace 0.0.2.0/24 via 0.0.0.1 on link 1 metric 120",
    ]
    carry_out(fib, plan)
    assert [o.describe() for o in plan_unused(fib)] == ["delete nexthop 7", "delete nexthop 6"]


def test_a_plan_says_what_it_does() -> None:
    fib = Fib(routes={PREFIXES[5]: Route(7, 120, 0)}, groups={7: (6,)}, nexthops={6: HOPS[2]})
    wanted = {PREFIXES[1]: Want((HOPS[0],), 120, 0)}
    plan = plan_routes(replace(fib), wanted, PREFIXES, keep=set())
    assert [operation.describe() for operation in each(plan)] == [
        "nexthop 1886519296: 0.0.0.1 on link 1",
        "nexthop group 1886519297: 1886519296",
        "install 0.0.1.0/24 nhid 1886519297 metric 120",
        "remove 0.0.5.0/24 metric 120",
    ]
