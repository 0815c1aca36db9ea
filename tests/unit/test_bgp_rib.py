"""Rib: what is kept, what is best, what changed."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Any

from bgp.adjribin import Counts
from bgp.event import Change, EndOfRib, Updated
from bgp.nlri import Prefix
from bgp.path import GRACEFUL_SHUTDOWN, Attributes, Origin
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import AcceptRule, ImportPolicy
from bgp.rib import Rib

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")
POD, OTHER = Prefix.parse("10.244.2.0/24"), Prefix.parse("10.1.0.0/24")
POLICY = ImportPolicy(cluster=(AcceptRule(prefix=Prefix.parse("10.244.0.0/16"), le=28),))


def settings(name: PeerId, remote_asn: int = 65101) -> PeerSettings:
    number = "abc".index(name) + 1
    return PeerSettings(
        name=name, address=ip_address(f"10.0.{number}.2"), remote_asn=remote_asn, local_asn=65201
    )


def rib(**asns: int) -> Rib:
    peers = {name: settings(name, asns.get(name, 65101)) for name in (A, B, C)}
    return Rib(POLICY, peers)


def via(number: int = 1, *as_path: int, **changes: Any) -> Attributes:
    values: dict[str, Any] = {
        "next_hop": ip_address(f"10.0.{number}.2"),
        "as_path": as_path or (65101, 65202),
    }
    return Attributes(**{**values, **changes})


def announce(table: Rib, peer: PeerId, attributes: Attributes, *prefixes: Prefix) -> None:
    table.apply(Updated(peer=peer, changes=[Change(attributes, prefixes or (POD,))]))


def winners(table: Rib) -> str:
    return "".join(path.peer for path in table.best(POD))


def test_equal_paths_are_used_together() -> None:
    table = rib()
    announce(table, B, via(2))
    announce(table, A, via(1))

    assert [(p.peer, str(p.attributes.next_hop)) for p in table.best(POD)] == [
        ("a", "10.0.1.2"),
        ("b", "10.0.2.2"),
    ]
    assert table.take_changed() == {POD}
    assert table.take_changed() == set()


def test_decision_steps_in_their_order() -> None:
    table = rib(c=65201)
    announce(table, A, via(1, 65101, 65202))
    announce(table, B, via(2, 65102, 65150, 65202))
    assert winners(table) == "a"
    announce(table, B, via(2, 65102, 65203))
    assert winners(table) == "ab"
    announce(table, B, via(2, 65102, 65203, origin=Origin.INCOMPLETE))
    assert winners(table) == "a"
    announce(table, B, via(2, 65102, 65203, local_preference=999))
    assert winners(table) == "ab", "local preference of an external peer is ignored"
    announce(table, C, via(3, 65101, 65202))
    assert winners(table) == "ab", "external before internal"
    announce(table, C, via(3, 65101, 65202, 65203, local_preference=200))
    assert winners(table) == "c"


def test_med_counts_among_paths_of_one_neighboring_as_only() -> None:
    table = rib()
    announce(table, A, via(1, 65101, 1, med=10))
    announce(table, B, via(2, 65101, 2, med=20))
    assert winners(table) == "a"
    announce(table, B, via(2, 65102, 2, med=20))
    assert winners(table) == "ab"
    announce(table, C, via(3, 65102, 3))
    assert winners(table) == "ac", "a missing MED is the lowest"


def test_as_set_counts_one() -> None:
    table = rib()
    announce(table, A, via(1, 65101, as_sets=((1, 2, 3),)))
    announce(table, B, via(2, 65102, 9))

    assert winners(table) == "ab"


def test_graceful_shutdown_is_the_last_resort() -> None:
    table = rib()
    announce(table, A, via(1, 65101, communities=(GRACEFUL_SHUTDOWN,)))
    assert winners(table) == "a"
    announce(table, B, via(2, 65101, 65102, 65103))
    assert winners(table) == "b"


def test_refused_paths_are_kept_with_their_reason_and_counted() -> None:
    table = rib()
    announce(table, A, via(1), POD, OTHER)

    assert table.counts(A, 4) == Counts(accepted=1, rejected=1)
    assert table.counts(A, 4).received == 2
    assert table.counts(A, 6) == Counts()
    assert table.best(OTHER) == ()
    assert [(r.peer, r.reason) for r in table.rejections(OTHER)] == [
        ("a", "outside the cluster prefixes")
    ]
    assert table.prefixes() == {POD}
    assert table.rejected_prefixes() == {OTHER}
    assert table.take_changed() == {POD}


def test_withdrawal() -> None:
    table = rib()
    announce(table, A, via(1), POD, OTHER)
    table.take_changed()
    table.apply(Updated(peer=A, changes=[Change(None, (), (POD, OTHER))]))

    assert table.best(POD) == ()
    assert table.counts(A, 4) == Counts()
    assert table.take_changed() == {POD}


def test_path_that_becomes_unacceptable_goes() -> None:
    table = rib()
    announce(table, A, via(1))
    announce(table, A, via(1, 65101, 65201))

    assert table.best(POD) == ()
    assert table.counts(A, 4) == Counts(rejected=1)
    announce(table, A, via(1))
    assert table.counts(A, 4) == Counts(accepted=1)


def test_repeated_announcement_changes_nothing() -> None:
    table = rib()
    announce(table, A, via(1))
    table.take_changed()
    announce(table, A, via(1))

    assert table.take_changed() == set()


def test_stale_paths_stay_until_learned_again_or_swept() -> None:
    table = rib()
    second = Prefix.parse("10.244.3.0/24")
    announce(table, A, via(1), POD, second, OTHER)
    table.take_changed()

    table.mark_stale(A)
    assert table.take_changed() == set()
    assert [p.stale for p in table.best(POD)] == [True]
    assert table.counts(A, 4) == Counts(accepted=2, stale=2)
    announce(table, A, via(1))
    assert [p.stale for p in table.best(POD)] == [False]
    assert table.has_stale()
    table.apply(EndOfRib(peer=A, family=6))
    assert table.has_stale()
    table.apply(EndOfRib(peer=A, family=4))
    assert not table.has_stale()
    assert table.prefixes() == {POD}
    assert table.take_changed() == {second}


def test_second_restart_keeps_or_drops_what_was_stale() -> None:
    for drop_older, left in ((False, 1), (True, 0)):
        table = rib()
        announce(table, A, via(1))
        table.mark_stale(A)
        table.mark_stale(A, drop_older=drop_older)
        assert len(table.best(POD)) == left


def test_drop_and_removal_of_a_peer() -> None:
    table = rib()
    announce(table, A, via(1))
    announce(table, B, via(2))
    table.take_changed()

    table.drop(A)
    assert winners(table) == "b"
    assert table.take_changed() == {POD}
    table.reconfigure(POLICY, {A: settings(A)})
    assert winners(table) == ""
    assert table.take_changed() == {POD}
    announce(table, B, via(2))
    assert winners(table) == "", "events of a removed peer are ignored"
    table.apply(EndOfRib(peer=B, family=4))
    table.mark_stale(B)
    table.drop(B)


def test_new_policy_judges_what_is_there() -> None:
    table = rib()
    peers = {A: settings(A), B: settings(B), C: settings(C)}
    announce(table, A, via(1), POD, OTHER)
    table.mark_stale(A)
    announce(table, A, via(1), OTHER)
    table.take_changed()

    table.reconfigure(ImportPolicy(cluster=(AcceptRule(prefix=OTHER),)), peers)

    assert table.prefixes() == {OTHER}
    assert table.take_changed() == {POD, OTHER}
    assert not table.has_stale()
    table.reconfigure(POLICY, peers)
    assert table.prefixes() == {POD}


def test_hundred_thousand_paths_in_about_a_second() -> None:
    policy = ImportPolicy(cluster=(AcceptRule(prefix=Prefix.parse("8.0.0.0/5"), le=28),))
    table = Rib(policy, {A: settings(A)})
    prefixes = [Prefix(4, (11 << 24) + (i << 8), 24) for i in range(100_000)]
    events = [
        Updated(peer=A, changes=[Change(via(1, 65101, 100_000 + i), (prefix,))])
        for i, prefix in enumerate(prefixes)
    ]

    began = time.process_time()
    for event in events:
        table.apply(event)
    best = [table.best(prefix) for prefix in table.take_changed()]
    took_s = time.process_time() - began

    assert len(best) == 100_000
    assert took_s < 3.0, "about 0.7 s on a quiet core; the bound allows for a busy machine"


def test_of_one_peer_its_own_accepted_paths_are_given() -> None:
    table = rib()
    announce(table, A, via(1))
    announce(table, B, via(2), POD, OTHER)

    assert list(table.accepted_of(B)) == [(POD, via(2))]
    assert list(table.accepted_of(C)) == []
