"""Replacing prefixes by others: nothing that still works is missing at any moment."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from bgp.nlri import Prefix
from router.model.aggregate import Rejections
from router.reconcile.rejections import plan_rejections
from router.reconcile.service_aggregates import Replacing, _overlapping

# A small world, so that things meet: 16 addresses and what covers them.
PREFIXES = st.builds(
    lambda network, length: Prefix(4, network >> (32 - length) << (32 - length), length),
    st.integers(0xCB007100, 0xCB00710F),
    st.integers(28, 32),
)
SETS = st.frozensets(PREFIXES, max_size=8)


@given(SETS, SETS)
def test_overlapping_is_what_its_words_say(
    prefixes: frozenset[Prefix], others: frozenset[Prefix]
) -> None:
    assert _overlapping(prefixes, others) == {
        p for p in prefixes if any(p.covers(o) or o.covers(p) for o in others)
    }


def reached(networks: frozenset[Prefix]) -> set[int]:
    return {
        n
        for n in range(0xCB007100, 0xCB007110)
        if any(p.covers(Prefix(4, n, 32)) for p in networks)
    }


@given(st.lists(st.tuples(SETS, st.booleans()), max_size=8))
def test_what_is_reached_before_and_after_is_reached_meanwhile(
    steps: list[tuple[frozenset[Prefix], bool]],
) -> None:
    """Also if the peers hear withdrawals first: what they surely have is what was acknowledged."""
    made = Replacing()
    surely: frozenset[Prefix] = frozenset()
    shown: frozenset[Prefix] = frozenset()
    before: frozenset[Prefix] = frozenset()
    for wanted, is_acknowledged in steps:
        if is_acknowledged:
            surely = shown
        # Everything works all the time here: what is kept is for `Replacing` to say.
        every = frozenset(p for each, _ in steps for p in each)
        shown = made.networks(wanted, every, is_acknowledged=partial(bool, is_acknowledged))
        assert wanted <= shown
        assert reached(surely) & reached(before) & reached(wanted) <= reached(surely & shown)
        surely &= shown
        before = wanted
    assert made.networks(before, frozenset(), is_acknowledged=lambda: True) == before


@given(SETS, SETS, st.booleans(), st.booleans())
def test_plans_lead_to_what_is_wanted(
    found: frozenset[Prefix], wanted: frozenset[Prefix], exists: bool, is_whole: bool
) -> None:
    outer = frozenset(plan_rejections(Rejections(), found).add if exists else ())
    before = Rejections(
        exists=exists,
        is_whole=exists and is_whole,
        prefixes=frozenset(outer) if exists else frozenset(),
    )
    plan = plan_rejections(before, wanted)
    after = (frozenset() if plan.remove_table else before.prefixes) - set(plan.remove) | set(
        plan.add
    )
    assert reached(after) == reached(wanted)
    there = Rejections(exists=bool(after), is_whole=bool(after), prefixes=after)
    assert plan_rejections(there, wanted).is_empty
