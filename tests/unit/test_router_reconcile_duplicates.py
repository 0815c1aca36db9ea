"""One pod CIDR on two nodes: who keeps it, and when it is announced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.model.node import Claim, Claims
from router.reconcile.duplicates import (
    HOLD_S,
    PATIENCE_S,
    RELIST_S,
    Phase,
    Sight,
    Standing,
    first,
    look,
    verdict,
)
from router.reconcile.foreign import Foreign

CIDR = Prefix.parse("10.244.1.0/24")
OTHER = Prefix.parse("10.244.2.0/24")
THEIRS = Foreign(CIDR, PeerId("tor1"), 65202, True)
PERHAPS = Foreign(CIDR, PeerId("tor1"), 65201, False)
ME, OLD, NEW = "node5", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"


def claim(name: str, created: str, *cidrs: Prefix) -> Claim:
    return Claim(name, created, cidrs or (CIDR,))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([claim(ME, OLD)], (Phase.UNCLAIMED, "")),
        ([], (Phase.UNCLAIMED, "")),
        ([claim(ME, OLD), claim("node9", NEW, OTHER)], (Phase.UNCLAIMED, "")),
        ([claim(ME, OLD), claim("node9", NEW)], (Phase.KEPT, "node9")),
        ([claim(ME, NEW), claim("node9", OLD)], (Phase.YIELDED, "node9")),
        ([claim(ME, OLD), claim("node9", OLD)], (Phase.KEPT, "node9")),
        ([claim(ME, OLD), claim("node1", OLD)], (Phase.YIELDED, "node1")),
        (
            [claim(ME, NEW), claim("node9", NEW), claim("node7", OLD)],
            (Phase.YIELDED, "node7"),
        ),
        ([claim("node9", NEW)], (Phase.YIELDED, "node9")),
        ([claim(ME, OLD, OTHER), claim("node9", NEW)], (Phase.UNCLAIMED, "node9")),
        ([claim(ME, NEW), claim("n", OLD, Prefix.parse("10.244.0.0/23"))], (Phase.YIELDED, "n")),
        ([claim(ME, OLD), claim("n", NEW, Prefix.parse("10.244.1.128/25"))], (Phase.KEPT, "n")),
    ],
)
def test_the_older_node_keeps_it(claims: list[Claim], expected: tuple[Phase, str]) -> None:
    assert verdict(CIDR, ME, claims) == expected


@given(
    st.dictionaries(
        st.sampled_from([f"node{n}" for n in range(9)]),
        st.sampled_from([OLD, NEW, "2026-03-01T00:00:00Z"]),
        min_size=2,
    )
)
def test_of_all_nodes_that_have_it_exactly_one_does_not_yield(nodes: dict[str, str]) -> None:
    claims = [claim(name, created) for name, created in nodes.items()]
    kept = [name for name in nodes if verdict(CIDR, name, claims)[0] is Phase.KEPT]
    assert kept == [min(nodes, key=lambda name: (nodes[name], name))]


class Life:
    """One CIDR through time."""

    def __init__(self, *, is_known: bool = False) -> None:
        self.now = 100.0
        self.number = 0
        self.claims = Claims()
        self.standing = first(CIDR, self.now, is_known=is_known)

    def see(
        self,
        *heard: Foreign,
        after_s: float = 0.0,
        up: bool = True,
        settled: bool = True,
        has_api: bool = True,
    ) -> Standing:
        self.now += after_s
        sight = Sight(
            heard=frozenset(heard),
            is_up=up,
            is_settled=settled,
            claims=self.claims,
            me=ME,
            next_number=self.number + 1,
            has_api=has_api,
        )
        self.standing = look(self.standing, sight, self.now)
        if self.standing.is_asking:
            self.number = max(self.number, self.standing.asked)
        return self.standing

    def answer(self, *found: Claim) -> None:
        self.claims = Claims(number=self.number, found=found)

    @property
    def phase(self) -> tuple[Phase, bool]:
        return self.standing.phase, self.standing.is_announced


def test_nothing_is_announced_before_the_peers_have_said_what_they_know() -> None:
    life = Life()
    life.see(up=False, after_s=100)
    assert life.phase == (Phase.HELD, False)
    life.see(settled=False, after_s=1)
    life.see(settled=False, after_s=1)
    assert life.phase == (Phase.HELD, False)
    life.see()
    assert life.phase == (Phase.CLEAR, True)
    assert life.number == 0, "nobody was asked"


def test_peers_without_end_of_rib_are_not_waited_for_for_ever() -> None:
    life = Life()
    life.see(up=False, after_s=100)
    life.see(settled=False, after_s=HOLD_S)
    assert life.phase == (Phase.CLEAR, True)


def test_a_younger_node_never_announces_what_an_older_one_has() -> None:
    life = Life()
    life.see(THEIRS, settled=False)
    life.see(THEIRS)
    assert life.phase == (Phase.CHECKING, False)
    life.see(THEIRS, after_s=5)
    assert life.number == 1, "asked once"
    life.answer(claim(ME, NEW), claim("node9", OLD))
    life.see(THEIRS)
    assert life.phase == (Phase.YIELDED, False)
    life.see(after_s=1)
    assert (life.phase, life.number) == ((Phase.YIELDED, False), 2), "heard no more: asked again"
    life.answer(claim(ME, NEW), claim("node9", OLD))
    life.see(after_s=1)
    assert life.phase == (Phase.YIELDED, False), "the other is away, and has it still"
    life.see(after_s=RELIST_S)
    life.answer(claim(ME, NEW), claim("node9", OLD, OTHER))
    life.see(after_s=1)
    assert (life.phase, life.number) == ((Phase.CLEAR, True), 3)


def test_an_older_node_goes_on_while_it_asks() -> None:
    life = Life(is_known=True)
    life.see(THEIRS)
    assert life.phase == (Phase.CHECKING, True)
    life.answer(claim(ME, OLD), claim("node9", NEW))
    life.see(THEIRS)
    assert life.phase == (Phase.KEPT, True)
    assert "node9" in life.standing.describe()
    life.see(THEIRS, after_s=RELIST_S - 1)
    assert life.number == 1
    life.see()
    assert life.phase == (Phase.CLEAR, True)
    assert life.standing.describe() == ""


def kept(cidr: str, heard: str) -> Standing:
    theirs = Foreign(Prefix.parse(heard), PeerId("tor1"), 65202, True)
    return Standing(
        cidr=Prefix.parse(cidr),
        phase=Phase.KEPT,
        since=0.0,
        is_announced=True,
        heard=frozenset({theirs}),
    )


@pytest.mark.parametrize(
    ("cidr", "heard", "halves"),
    [
        ("10.244.1.0/24", "10.244.1.0/24", ["10.244.1.0/25", "10.244.1.128/25"]),
        ("10.244.1.0/24", "10.244.0.0/23", ["10.244.1.0/25", "10.244.1.128/25"]),
        ("10.244.1.0/24", "10.244.1.0/25", []),
        ("10.244.1.16/28", "10.244.1.16/28", []),
        ("fd00:244:1::/64", "fd00:244:1::/64", ["fd00:244:1::/65", "fd00:244:1:0:8000::/65"]),
    ],
)
def test_the_elder_is_heard_by_its_halves(cidr: str, heard: str, halves: list[str]) -> None:
    standing = kept(cidr, heard)
    assert [str(half) for half in standing.halves] == halves
    assert all(standing.cidr.covers(half) for half in standing.halves)
    assert replace(standing, phase=Phase.UNCLAIMED).halves == ()
    assert replace(standing, heard=frozenset()).halves == ()


def test_a_rogue_announcer_is_named_and_takes_nothing_from_us() -> None:
    life = Life(is_known=True)
    life.see(THEIRS)
    life.answer(claim(ME, NEW), claim("node9", OLD, OTHER))
    life.see(THEIRS)
    assert life.phase == (Phase.UNCLAIMED, True)
    assert "from AS 65202 by tor1" in life.standing.describe()


def test_what_may_be_our_own_come_back_matters_only_while_we_do_not_announce() -> None:
    life = Life(is_known=True)
    life.see(PERHAPS)
    assert life.phase == (Phase.CLEAR, True)
    life = Life()
    life.see(PERHAPS)
    assert life.phase == (Phase.CHECKING, False)
    life.answer(claim(ME, NEW))
    life.see(PERHAPS)
    assert life.phase == (Phase.CLEAR, True)
    shared_as = Life()
    shared_as.see(PERHAPS)
    shared_as.answer(claim(ME, NEW), claim("node9", OLD))
    shared_as.see(PERHAPS)
    assert shared_as.phase == (Phase.YIELDED, False)


def test_an_api_that_does_not_answer_holds_nothing_back_for_long() -> None:
    life = Life()
    life.see(THEIRS)
    life.see(THEIRS, after_s=PATIENCE_S - 1)
    assert life.phase == (Phase.CHECKING, False)
    life.see(THEIRS, after_s=1)
    assert life.phase == (Phase.CHECKING, True)
    life.answer(claim(ME, NEW), claim("node9", OLD))
    life.see(THEIRS)
    assert life.phase == (Phase.YIELDED, False)


def test_without_an_api_it_is_told_and_nothing_waits() -> None:
    life = Life()
    life.see(up=False, has_api=False)
    assert life.phase == (Phase.CLEAR, True)
    life.see(THEIRS, has_api=False)
    assert (life.phase, life.number) == ((Phase.UNCLAIMED, True), 0)
    life.see(has_api=False)
    assert life.phase == (Phase.CLEAR, True)


def test_a_node_that_was_deleted_yields_to_the_one_that_was_given_its_cidr() -> None:
    life = Life(is_known=True)
    life.see(THEIRS)
    life.answer(claim("node9", NEW))
    life.see(THEIRS)
    assert life.phase == (Phase.YIELDED, False)


HEARD = st.sets(st.sampled_from([THEIRS, PERHAPS]))
LISTS = st.lists(
    st.sampled_from([claim(ME, NEW), claim("node9", OLD), claim("node9", NEW, OTHER)]), max_size=2
)


@given(st.booleans(), st.lists(st.tuples(HEARD, st.none() | LISTS, st.booleans()), max_size=25))
def test_whatever_comes_a_cidr_is_silent_only_for_a_reason(
    is_known: bool, script: Iterable[tuple[set[Foreign], list[Claim] | None, bool]]
) -> None:
    life = Life(is_known=is_known)
    asked = 0
    for heard, answer, up in script:
        was = life.standing
        if answer is not None and life.standing.is_asking:
            life.answer(*answer)
        life.see(*heard, after_s=10.0, up=up)
        now = life.standing
        if was.is_announced and not now.is_announced:
            assert verdict(CIDR, ME, life.claims.found)[0] is Phase.YIELDED
        if now.phase in (Phase.CLEAR, Phase.KEPT, Phase.UNCLAIMED):
            assert now.is_announced
        if now.phase is Phase.YIELDED:
            assert not now.is_announced
        assert life.number - asked <= 1
        asked = life.number
