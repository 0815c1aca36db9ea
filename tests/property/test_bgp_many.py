"""What is done for many prefixes at once is what is done for each."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bgp.accept_rule import AcceptRule
from bgp.decision import RELAXED, Selection
from bgp.event import Change, Series, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes, Standing
from bgp.peer_id import PeerId
from bgp.policy import ImportPolicy
from bgp.rib import Rib
from tests.support.rib_model import BASE

WIDE, SIX = Prefix.parse("10.244.0.0/16"), Prefix.parse("fd00:244::/32")
OWN = Prefix.parse("10.244.5.0/24")
MANY = [Prefix(4, WIDE.network + (i << 8), 24) for i in range(40)]
ODD = [
    Prefix.parse(text)
    for text in (
        *("10.244.5.128/25", "10.244.4.0/22", "10.245.0.0/24", "10.244.77.0/29", "0.0.0.0/0"),
        *("fd00:244:1::/64", "fd00:244:5::/64", "fd00:245::/64", "::/0"),
    )
]
USUAL = ImportPolicy(cluster=(AcceptRule(prefix=WIDE, ge=16, le=28),))
denied = st.lists(st.sampled_from([OWN, *ODD[:2], Prefix.parse("10.244.5.7/32")]), max_size=2)
policies = st.builds(
    ImportPolicy,
    cluster=st.lists(
        st.sampled_from([
            AcceptRule(prefix=WIDE, ge=16, le=28),
            AcceptRule(prefix=WIDE, ge=24, le=24),
            AcceptRule(prefix=Prefix.parse("10.244.0.0/19"), ge=20, le=26),
            AcceptRule(prefix=SIX, ge=32, le=64),
        ]),
        max_size=3,
    ).map(tuple),
    own=denied.map(tuple),
    services=st.sampled_from([(), (Prefix.parse("10.244.8.0/21"),), (ODD[6],)]),
    service_addresses=st.sampled_from([frozenset(), frozenset({MANY[3]})]),
    accept_default=st.booleans(),
)  # fmt: skip
same_again = st.sampled_from([MANY[6:30], MANY[10:]])
batches = st.one_of(
    st.lists(st.sampled_from(MANY), min_size=1, max_size=40),
    st.lists(st.sampled_from(MANY + ODD), min_size=1, max_size=40),
    st.sampled_from([MANY, MANY[6:], [p for p in MANY if p != OWN], ODD[5:7], [OWN]]),
)


@given(policies, batches)
def test_what_is_surely_accepted_is_accepted(policy: ImportPolicy, batch: list[Prefix]) -> None:
    if policy.surely_accepts(batch):
        assert not [prefix for prefix in batch if policy.guard(prefix)]


def test_a_usual_table_is_surely_accepted() -> None:
    policy = ImportPolicy(
        cluster=(AcceptRule(prefix=WIDE, ge=16, le=28),),
        own=(OWN, Prefix.parse("10.244.200.0/24"), Prefix.parse("10.255.1.1/32")),
        services=(Prefix.parse("10.96.0.0/12"),),
    )
    assert policy.surely_accepts([prefix for prefix in MANY if prefix != OWN])
    assert not policy.surely_accepts(MANY)


A = PeerId("a")
LOOP = Attributes(next_hop=IPv4Address("10.0.9.2"), as_path=(65101, 65201))
CLEAN = Attributes(next_hop=IPv4Address("10.0.9.2"), as_path=(65101,))
hops = st.sampled_from([IPv4Address("10.0.9.2"), IPv4Address("10.0.2.2")])
alone = st.builds(
    lambda hop, path, med, preference: Attributes(
        next_hop=hop, as_path=path, med=med, local_preference=preference
    ),
    hops,
    st.lists(st.sampled_from([65101, 65102, 65201]), max_size=3).map(tuple),
    st.sampled_from([None, 1]),
    st.sampled_from([None, 50]),
)
shared = [
    Attributes(next_hop=IPv4Address(hop), as_path=(65101, 65300)[:length], standing=Standing())
    for hop in ("10.0.9.2", "10.0.2.2")
    for length in (1, 2)
]
alike = st.builds(
    lambda one, asn: one.with_packed_path(asn.to_bytes(4, "big") * one.path_length),
    st.sampled_from(shared[:2]),
    st.integers(65400, 65401),
)
given_attributes = st.one_of(alone, st.sampled_from(shared), alike)
changes = st.builds(Change, given_attributes, same_again | batches, st.just(()))
series = st.builds(
    lambda one, asns, batch: Series(
        [
            one.with_packed_path(asns[i % len(asns)].to_bytes(4, "big") * one.path_length)
            for i in range(len(batch))
        ],
        batch,
    ),
    st.sampled_from(shared[:2]),
    st.lists(st.sampled_from([65400, 65401, 65402, 65201]), min_size=1, max_size=3),
    same_again | st.lists(st.sampled_from(MANY), min_size=1, max_size=40),
)
withdrawals = st.builds(lambda gone: Change(None, (), gone), batches)
updates = st.lists(
    st.tuples(st.sampled_from(list(BASE)), changes | series | withdrawals), max_size=8
)


def tables(rib: Rib) -> Any:
    """Return all that is in the tables of a RIB, and what it calls changed."""
    held = {
        (peer, family): (table.accepted, table.rejected, table.stale)
        for peer, families in rib._tables.items()
        for family, table in families.items()
    }
    return held, set(rib.take_changed())


@given(
    st.just(USUAL) | policies,
    updates,
    st.sampled_from([RELAXED, Selection(strict=True), Selection(limit=1)]),
)
@example(USUAL, [(A, Change(LOOP, MANY, ())), (A, Change(CLEAN, MANY, ()))], RELAXED)
@example(USUAL, [(A, Change(CLEAN, MANY, ())), (A, Change(CLEAN, MANY[:30], ()))], RELAXED)
def test_messages_of_many_are_those_of_one_each_and_so_are_decisions(
    policy: ImportPolicy, told: Sequence[tuple[Any, Change | Series]], selection: Selection
) -> None:
    whole, single = (Rib(policy, BASE, selection) for _ in range(2))
    for peer, change in told:
        whole.apply(Updated(peer=peer, changes=[change]))
        for attributes, announced, withdrawn in (
            change.each() if isinstance(change, Series) else [change]
        ):
            for prefix in announced:
                single.apply(Updated(peer=peer, changes=[Change(attributes, [prefix])]))
            for prefix in withdrawn:
                single.apply(Updated(peer=peer, changes=[Change(None, (), [prefix])]))
    assert tables(whole) == tables(single)
    asked = [*dict.fromkeys(MANY + ODD)]
    answers = {p: found for found, group in whole.next_hops(asked) for p in group}
    assert answers == {p: tuple(path.attributes.next_hop for path in whole.best(p)) for p in asked}
    for _, group in whole.next_hops(asked):
        assert len({(p.family, p.length == 0) for p in group}) == 1
        assert len(group) == 1 or group[0].length


two = [*BASE][:2]
kept = st.fixed_dictionaries(
    {},
    optional={
        (peer, prefix): st.sampled_from(shared[:2]) | alike | alone
        for peer in two
        for prefix in MANY[6:10]
    },
)


@settings(max_examples=300)
@given(kept, st.sampled_from([RELAXED, Selection(strict=True), Selection(strict=True, limit=2)]))
def test_what_is_decided_alike_is_decided_as_alone(
    paths: dict[tuple[Any, Prefix], Attributes], selection: Selection
) -> None:
    rib = Rib(USUAL, BASE, selection)
    for (peer, prefix), attributes in paths.items():
        rib.apply(Updated(peer=peer, changes=[Change(attributes, [prefix])]))
    answers = {p: found for found, group in rib.next_hops(MANY[6:10]) for p in group}
    for prefix in MANY[6:10]:
        assert answers[prefix] == tuple(p.attributes.next_hop for p in rib.best(prefix))


@given(updates, st.randoms(use_true_random=False))
def test_the_order_of_peers_messages_does_not_matter(
    told: list[tuple[Any, Change | Series]], chance: Any
) -> None:
    """Messages of one peer keep their order; those of different peers may mix in any way."""
    asked = [*dict.fromkeys(MANY + ODD)]
    answers = []
    for mixed in (False, True):
        rib = Rib(USUAL, BASE)
        queues = {peer: [change for who, change in told if who == peer] for peer in BASE}
        while waiting := [peer for peer, queue in queues.items() if queue]:
            peer = chance.choice(waiting) if mixed else waiting[0]
            rib.apply(Updated(peer=peer, changes=[queues[peer].pop(0)]))
        answers.append({p: found for found, group in rib.next_hops(asked) for p in group})
    assert answers[0] == answers[1]
