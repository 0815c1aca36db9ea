"""Filters on paths and announcements: what matches, what is changed, what the guard keeps."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from bgp.accept_rule import AcceptRule
from bgp.announcing import exports
from bgp.event import Change, Updated
from bgp.export import Export
from bgp.filter import Action, Filter, Match, Term
from bgp.filter import Change as Set
from bgp.filtering import importing
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import ImportPolicy
from bgp.rib import Rib
from bgp.speaker_config import SpeakerConfig

A, B = PeerId("a"), PeerId("b")
POD, OWN = Prefix.parse("10.244.2.0/24"), Prefix.parse("10.244.1.0/24")
PATH = Attributes(
    next_hop=ip_address("10.0.1.2"),
    as_path=(65101, 65202),
    as_sets=((65300, 65400),),
    communities=((65101, 7),),
    large_communities=((65101, 1, 2),),
)


def peer(name: PeerId, remote_asn: int = 65101, **values: Any) -> PeerSettings:
    address = ip_address(f"10.0.{'ab'.index(name) + 1}.2")
    return PeerSettings(
        name=name, address=address, remote_asn=remote_asn, local_asn=65201, **values
    )


def one(**values: Any) -> Filter:
    return Filter(name="f", terms=(Term(**values),))


def reject(**match: Any) -> Filter:
    return one(match=Match(**match), action=Action.REJECT, reason="not wanted")


def rule(text: str, **bounds: int) -> AcceptRule:
    return AcceptRule(prefix=Prefix.parse(text), **bounds)


@pytest.mark.parametrize(
    ("match", "is_hit"),
    [
        ({}, True),
        ({"prefixes": (rule("10.244.0.0/16", le=24),)}, True),
        ({"prefixes": (rule("10.244.0.0/16", ge=25, le=28),)}, False),
        ({"prefixes": (rule("10.244.2.0/24"), rule("10.9.0.0/16"))}, True),
        ({"communities": frozenset({(65101, 7), (1, 1)})}, True),
        ({"communities": frozenset({(65101, 8)})}, False),
        ({"large_communities": frozenset({(65101, 1, 2)})}, True),
        ({"large_communities": frozenset({(65101, 1, 3)})}, False),
        ({"origin_asns": frozenset({65202})}, True),
        ({"origin_asns": frozenset({65101})}, False),
        ({"contains_asns": frozenset({65101})}, True),
        ({"contains_asns": frozenset({65400})}, True),
        ({"contains_asns": frozenset({65201})}, False),
        ({"as_path_length": (3, 3)}, True),
        ({"as_path_length": (4, 9)}, False),
        ({"next_hops": (Prefix.parse("10.0.1.0/24"),)}, True),
        ({"next_hops": (Prefix.parse("10.0.2.0/24"),)}, False),
        ({"peers": frozenset({"a"})}, True),
        ({"peers": frozenset({"b"})}, False),
        ({"peers": frozenset({"a"}), "origin_asns": frozenset({1})}, False),
    ],
)
def test_what_matches(match: dict[str, Any], is_hit: bool) -> None:
    found = importing(reject(**match), A, PATH)(POD)
    assert found.reason == ("not wanted" if is_hit else "")
    assert found.attributes is PATH


def test_a_path_without_as_has_no_origin() -> None:
    assert (
        importing(reject(origin_asns=frozenset({1})), A, PATH.with_packed_path(b""))(POD).reason
        == ""
    )


def test_terms_add_up_until_one_ends_it_and_see_the_path_as_it_came() -> None:
    terms = (
        Term(change=Set(add_communities=((1, 1),), local_preference=50)),
        Term(match=Match(communities=frozenset({(1, 1)})), action=Action.REJECT),
        Term(change=Set(remove_communities=frozenset({(65101, 7)})), action=Action.ACCEPT),
        Term(action=Action.REJECT),
    )
    found = importing(Filter(name="f", terms=terms), A, PATH)(POD)
    assert found.reason == ""
    assert found.attributes.common.is_preferred
    assert found.attributes.communities == ((1, 1),)
    assert found.attributes.local_preference == 50


def test_a_rejection_without_words_names_filter_and_term() -> None:
    terms = (Term(change=Set(local_preference=1)), Term(action=Action.REJECT))
    found = importing(Filter(name="tight", terms=terms), A, PATH)(POD)
    assert found.reason == "rejected by filter tight, term 2"


class TestInTheRib:
    policy = ImportPolicy(cluster=(rule("10.244.0.0/16", le=28),), own=(OWN,))

    def rib(self, **filters: Filter) -> Rib:
        peers = {n: peer(n, import_filter=filters.get(n)) for n in (A, B)}
        rib = Rib(self.policy, peers)
        for name in (A, B):
            told = PATH.changed(next_hop=peers[name].address)
            rib.apply(Updated(peer=name, changes=[Change(told, (POD, OWN))]))
        return rib

    def test_the_guard_is_not_overruled(self) -> None:
        rib = self.rib(a=one(action=Action.ACCEPT))
        assert [r.reason for r in rib.rejections(OWN)] == ["is own pod CIDR 10.244.1.0/24"] * 2
        assert rib.paths(OWN) == ()

    def test_a_preference_holds_for_an_external_peer(self) -> None:
        rib = self.rib(a=one(change=Set(local_preference=200)))
        assert [path.peer for path in rib.best(POD)] == [A]

    def test_what_an_external_peer_prefers_itself_means_nothing(self) -> None:
        rib = self.rib()
        told = PATH.changed(local_preference=500)
        rib.apply(Updated(peer=A, changes=[Change(told, (POD,))]))
        assert [path.peer for path in rib.best(POD)] == [A, B]

    def test_graceful_shutdown_can_be_taken_out(self) -> None:
        gone = PATH.changed(communities=((65535, 0),))
        rib = self.rib(a=one(change=Set(remove_communities=frozenset({(65535, 0)}))))
        rib.apply(Updated(peer=A, changes=[Change(gone, (POD,))]))
        assert [path.peer for path in rib.best(POD)] == [A, B]

    def test_another_filter_judges_anew_what_came_without_a_refresh(self) -> None:
        rib = self.rib(a=one(change=Set(add_communities=((9, 9),), local_preference=1)))
        assert [path.peer for path in rib.best(POD)] == [B]
        rib.take_changed()
        peers = {A: peer(A, import_filter=reject()), B: peer(B)}
        rib.reconfigure(self.policy, peers)
        assert rib.take_changed() == {POD}
        assert [(r.peer, r.reason) for r in rib.rejections(POD)] == [(A, "not wanted")]
        rib.reconfigure(self.policy, {A: peer(A), B: peer(B)})
        assert [path.attributes.communities for path in rib.best(POD)] == [((65101, 7),)] * 2


class TestExports:
    def config(self, export_filter: Filter, **values: Any) -> dict[Prefix, Export]:
        tor = peer(A, **({"remote_asn": 65101} | values), export_filter=export_filter)
        node = Prefix.parse("10.255.1.1/32")
        config = SpeakerConfig(
            router_id=ip_address("10.255.1.1"),  # type: ignore[arg-type]
            peers=(tor,),
            networks=(OWN, node),
        )
        return exports(config, tor)

    def test_attributes_are_set(self) -> None:
        change = Set(
            add_communities=((65201, 1),), add_large_communities=((65201, 1, 2),), med=5, prepend=2
        )
        found = self.config(one(change=change))
        assert found[OWN] == Export(
            communities=((65201, 1),),
            large_communities=((65201, 1, 2),),
            med=5,
            as_path=(65201,) * 3,
        )

    def test_some_are_held_back_and_other_peers_terms_do_not_count(self) -> None:
        terms = (
            Term(match=Match(peers=frozenset({"b"})), action=Action.REJECT),
            Term(match=Match(prefixes=(rule("10.255.0.0/16", le=32),)), action=Action.REJECT),
        )
        assert set(self.config(Filter(name="f", terms=terms))) == {OWN}

    def test_nothing_is_prepended_for_an_internal_peer(self) -> None:
        assert self.config(one(change=Set(prepend=2)), remote_asn=65201)[OWN] == Export()
