"""Who orders a drain: annotations, taints and kubelet's shutdown on the Node, and who rules."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.model.node import NodeView
from router.reconcile import drain
from router.reconcile.drain import Drain, DrainSettings, Order, Phase, Source, TaintMatch
from router.reconcile.drain_orders import ANNOTATION, PREPEND, WAIT, Wish, ruling, wishes
from tests.support.node_views import SHUTDOWN, node

OPT_IN = DrainSettings(
    taints=(TaintMatch.parse("example.com/maintenance:NoSchedule"),), prepend=3, wait_s=7.0
)
COMMAND = Order(since=5.0)


def asked(view: NodeView, settings: DrainSettings = OPT_IN) -> list[Wish]:
    return [*wishes(view, settings, at=1.0)]


@pytest.mark.parametrize(
    ("annotations", "prepend", "wait_s"),
    [
        ({ANNOTATION: "true"}, 3, 7.0),
        ({ANNOTATION: "true", PREPEND: "0", WAIT: "1.5"}, 0, 1.5),
        ({ANNOTATION: "true", WAIT: "0"}, 3, 0.0),
    ],
)
def test_an_annotation_orders_with_the_command_s_options(
    annotations: Mapping[str, str], prepend: int, wait_s: float
) -> None:
    (wish,) = asked(node(annotations))
    assert wish.order is not None
    assert (wish.source, wish.order.prepend, wish.order.wait_s) == (
        Source.ANNOTATION,
        prepend,
        wait_s,
    )


@pytest.mark.parametrize(
    ("annotations", "says"),
    [
        ({ANNOTATION: "yes"}, "podroute.dev/drain: 'yes' must be true or false"),
        ({ANNOTATION: ""}, "must be true or false"),
        ({ANNOTATION: "true", PREPEND: "17"}, "drain-prepend: '17' must be a whole number up to"),
        ({ANNOTATION: "true", PREPEND: "-1"}, "must be a whole number"),
        ({ANNOTATION: "true", WAIT: "nan"}, "drain-wait: 'nan' must be seconds from 0 to 3600"),
        ({ANNOTATION: "true", WAIT: "x" * 90}, "'... must be"),
    ],
)
def test_what_cannot_be_understood_is_named_and_changes_nothing(
    annotations: Mapping[str, str], says: str
) -> None:
    (wish,) = asked(node(annotations))
    assert wish.order is None
    assert says in wish.problem
    assert ruling(None, [wish], frozenset(), None) is None
    before = Order(since=0.0, wait_s=99.0, source=Source.ANNOTATION, what="it")
    assert ruling(None, [wish], frozenset(), before) is before


@pytest.mark.parametrize(
    "view",
    [
        node(),
        node({ANNOTATION: "false", WAIT: "rubbish"}),
        node({WAIT: "10"}),
        node(
            taints=({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},),
            unschedulable=True,
        ),
        node(taints=({"key": "example.com/maintenance", "effect": "NoExecute"},)),
        node(ready={"status": "False", "message": "container runtime is down"}),
        node(ready={"status": "Unknown", "message": "node is shutting down"}),
    ],
    ids=["plain", "false", "options alone", "cordon", "other taint", "not ready", "unknown"],
)
def test_no_order(view: NodeView) -> None:
    assert asked(view) == []


def test_all_three_by_rank_and_each_can_be_switched_off() -> None:
    everything = node(
        {ANNOTATION: "true"},
        ({"key": "example.com/maintenance", "value": "disk", "effect": "NoSchedule"},),
        {"status": "False", "message": SHUTDOWN},
    )
    found = asked(everything)
    assert [wish.source for wish in found] == [Source.ANNOTATION, Source.TAINT, Source.SHUTDOWN]
    shutdown = found[-1].order
    assert shutdown is not None
    assert math.isinf(shutdown.wait_s), "the withdrawal comes with the agent's end"
    off = DrainSettings(annotation=False, shutdown=False)
    assert asked(everything, off) == []


def test_a_cordon_can_be_made_an_order() -> None:
    settings = DrainSettings(taints=(TaintMatch.parse("node.kubernetes.io/unschedulable"),))
    cordoned = node(taints=({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},))
    (wish,) = asked(cordoned, settings)
    assert (wish.source, wish.what) == (
        Source.TAINT,
        "taint node.kubernetes.io/unschedulable of the Node",
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a/b", ("a/b", None, None)),
        ("a/b=c", ("a/b", "c", None)),
        ("a/b=", ("a/b", "", None)),
        ("a/b:NoExecute", ("a/b", None, "NoExecute")),
        ("a/b=c:NoSchedule", ("a/b", "c", "NoSchedule")),
    ],
)
def test_taints_as_kubectl_spells_them(
    text: str, match: tuple[str, str | None, str | None]
) -> None:
    assert TaintMatch.parse(text) == match


@pytest.mark.parametrize("text", ["", "=x", ":NoSchedule", "a:Never", "a b"])
def test_wrong_taints_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no taint"):
        TaintMatch.parse(text)


def wish_of(source: Source, wait_s: float = 30.0) -> Wish:
    return Wish(source, source.value, Order(since=1.0, wait_s=wait_s, source=source, what="x"))


API = [Source.ANNOTATION, Source.TAINT, Source.SHUTDOWN]


@given(
    st.booleans(),
    st.sets(st.sampled_from(API)),
    st.sets(st.sampled_from(API)),
    st.none() | st.sampled_from([COMMAND, *(wish_of(source).order for source in API)]),
)
def test_the_first_by_rank_that_asks_rules(
    command: bool, asking: set[Source], overruled: set[Source], before: Order | None
) -> None:
    found = [wish_of(source) for source in API if source in asking]
    rules = ruling(COMMAND if command else None, found, frozenset(overruled), before)
    heard = [source for source in API if source in asking - overruled]
    if command:
        assert rules is COMMAND
    elif not heard:
        assert rules is None
    else:
        assert rules is not None
        assert rules.source is heard[0]


@given(
    st.lists(
        st.sampled_from([None, COMMAND, *(wish_of(s, w).order for s in API for w in (0.0, 30.0))]),
        max_size=20,
    )
)
def test_no_change_of_who_rules_announces_what_is_withdrawn(script: list[Order | None]) -> None:
    state, now = Drain(), 0.0
    for order in script:
        now += 5.0
        was_withdrawn = state.is_withdrawn
        state = drain.turn(state, order, now)
        assert (state.phase is Phase.NONE) == (order is None)
        assert state.order == order
        if was_withdrawn and order is not None:
            assert state.is_withdrawn
        state = drain.advance(state, acknowledged=True, now=now)


def test_another_source_that_says_the_same_lets_the_phase_go_on() -> None:
    state = drain.advance(drain.begin(Drain(), COMMAND, 0.0), acknowledged=True, now=1.0)
    assert state.phase is Phase.WAITING
    order = wish_of(Source.ANNOTATION).order
    turned = drain.turn(state, order, 20.0)
    assert (turned.phase, turned.until) == (Phase.WAITING, state.until)
    slower = drain.turn(state, wish_of(Source.TAINT, 99.0).order, 20.0)
    assert slower.phase is Phase.MARKING


def test_a_shutdown_is_not_kept_over_the_boot() -> None:
    state = drain.begin(Drain(), wish_of(Source.SHUTDOWN, math.inf).order or COMMAND, 0.0)
    assert drain.stored(state) is None
    assert drain.advance(state, acknowledged=True, now=1.0).phase is Phase.WAITING
    waiting = drain.advance(state, acknowledged=True, now=1.0)
    assert drain.advance(waiting, acknowledged=True, now=1e9) == waiting
