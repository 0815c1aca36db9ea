"""Whatever happened on the way, decisions are those of what is there now."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.model.service import Facts, Key, Services, ServiceView, Serving, SliceView
from router.reconcile.service_index import ServiceIndex
from router.reconcile.services import (
    Deciding,
    Kind,
    Reserved,
    ServiceSettings,
    decide,
)

KEYS = st.builds(Key, st.sampled_from(("a", "b")), st.sampled_from(("x", "y")))
SERVING = st.integers(0, 15).map(Serving)
SERVICES = st.builds(
    ServiceView,
    key=KEYS,
    labels=st.sampled_from(({}, {"announce": "yes"})),
    load_balancer=st.sampled_from(((), (ip_address("203.0.113.1"), ip_address("2001:db8::1")))),
    external=st.sampled_from(((), (ip_address("203.0.113.1"),))),
    cluster=st.sampled_from(((), (ip_address("10.96.0.1"),))),
    external_local=st.booleans(),
    internal_local=st.booleans(),
    is_leaving=st.booleans(),
)
SLICES = st.builds(
    SliceView,
    key=st.builds(Key, st.just("a"), st.sampled_from(("1", "2", "3"))),
    service=KEYS,
    family=st.sampled_from((4, 6)),
    serving=SERVING,
)
SETTINGS = st.builds(
    ServiceSettings,
    load_balancer=st.booleans(),
    external=st.booleans(),
    cluster=st.booleans(),
    selector=st.sampled_from(((), (("announce", "yes"),))),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put_service"), SERVICES),
        st.tuples(st.just("drop_service"), KEYS),
        st.tuples(st.just("put_slice"), SLICES),
        st.tuples(st.just("drop_slice"), SLICES.map(lambda view: view.key)),
    ),
    max_size=25,
)
NOBODY = Reserved()


def from_scratch(
    services: dict[Key, ServiceView], slices: dict[Key, SliceView]
) -> dict[Key, Facts]:
    found = {}
    for key, service in services.items():
        endpoints = {4: Serving(0), 6: Serving(0)}
        for view in slices.values():
            if view.service == key:
                endpoints[view.family] |= view.serving
        found[key] = Facts(service, endpoints)
    return found


@given(STEPS)
def test_the_index_is_what_one_would_make_from_scratch(steps: list[tuple[str, Any]]) -> None:
    index = ServiceIndex()
    services: dict[Key, ServiceView] = {}
    slices: dict[Key, SliceView] = {}
    for what, given_ in steps:
        before = dict(index.facts)
        changed = getattr(index, what)(given_)
        model = services if what.endswith("service") else slices
        if what.startswith("put"):
            model[given_.key] = given_
        else:
            model.pop(given_, None)
        assert index.facts == from_scratch(services, slices)
        assert changed is (index.facts != before)
        for key in before.keys() & index.facts.keys():
            assert (index.facts[key] is before[key]) is (index.facts[key] == before[key])
    assert index.services == services.keys()
    assert index.slices == slices.keys()


@given(st.lists(st.tuples(STEPS, SETTINGS), max_size=4))
def test_deciding_bit_by_bit_is_deciding_at_once(
    rounds: list[tuple[list[tuple[str, Any]], ServiceSettings]],
) -> None:
    index = ServiceIndex()
    deciding = Deciding()
    for steps, settings in rounds:
        for what, given_ in steps:
            getattr(index, what)(given_)
        deciding.take(Services(is_known=True, found=dict(index.facts)), settings, NOBODY)
        expected = [d for facts in index.facts.values() for d in decide(facts, settings, NOBODY)]
        assert list(deciding.all) == sorted(expected)
        assert deciding.announced == {d.address for d in expected if not d.why_not}


@given(SERVICES, SERVING, SERVING, SETTINGS)
def test_local_is_announced_only_beside_a_ready_endpoint(
    view: ServiceView, v4: Serving, v6: Serving, settings: ServiceSettings
) -> None:
    for decision in decide(Facts(view, {4: v4, 6: v6}), settings, NOBODY):
        serving = v4 if decision.address.family == 4 else v6
        cluster = decision.kind is Kind.CLUSTER
        if decision.why_not:
            continue
        assert not view.is_leaving
        if view.internal_local if cluster else view.external_local:
            assert serving & Serving.READY_HERE
        else:
            assert serving & (Serving.READY | Serving.LEAVING)
        assert decision.address.length == (32 if decision.address.family == 4 else 128)
