"""Which peer gets what of ours, and how."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from bgp.advertisement import Advertisement
from bgp.announcing import exports
from bgp.export import Export
from bgp.filter import Action, Change, Filter, Match, Term
from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.policy import AcceptRule
from bgp.speaker_config import SpeakerConfig

POD = Prefix.parse("10.244.1.0/24")
HOST = Prefix.parse("10.255.1.1/32")
VIP = Prefix.parse("203.0.113.7/32")
NETWORKS = (POD, HOST, VIP)


def peer(name: str = "tor1", remote_asn: int = 65101, **more: Any) -> PeerSettings:
    address = ip_address("10.0.1.2" if name == "tor1" else "10.0.2.2")
    return PeerSettings(
        name=PeerId(name), address=address, remote_asn=remote_asn, local_asn=65201, **more
    )


def given(*advertisements: Advertisement, to: PeerSettings | None = None) -> dict[Prefix, Export]:
    wanted = to or peer()
    config = SpeakerConfig(
        router_id=IPv4Address("10.255.1.1"),
        peers=(wanted,),
        networks=NETWORKS,
        advertisements=advertisements,
    )
    return exports(config, wanted)


def test_without_any_everybody_gets_everything_plain() -> None:
    assert given() == dict.fromkeys(NETWORKS, Export())


def test_a_peer_gets_what_at_least_one_gives_it() -> None:
    pods = Advertisement(name="pods", prefixes=frozenset({POD}))
    hosts = Advertisement(name="hosts", prefixes=frozenset({HOST}), peers=frozenset({"tor2"}))
    assert given(pods, hosts).keys() == {POD}
    assert given(pods, hosts, to=peer("tor2")).keys() == {POD, HOST}


def test_services_are_what_nobody_names() -> None:
    hosts = Advertisement(name="hosts", prefixes=frozenset({HOST, POD}), peers=frozenset({"tor2"}))
    services = Advertisement(name="services", services=True)
    assert given(hosts, services).keys() == {VIP}


def test_changes_add_up_in_their_order() -> None:
    one = Advertisement(
        name="one",
        prefixes=frozenset({POD}),
        change=Change(add_communities=((65201, 1),), med=1, prepend=1),
    )
    two = Advertisement(
        name="two",
        prefixes=frozenset({POD}),
        change=Change(add_communities=((65201, 2),), med=2, prepend=1),
    )
    (export,) = given(one, two).values()
    assert export.communities == ((65201, 1), (65201, 2))
    assert export.med == 2
    assert export.as_path == (65201, 65201, 65201)


@pytest.mark.parametrize(("remote_asn", "expected"), [(65201, 300), (65101, None)])
def test_a_local_preference_is_for_internal_peers(remote_asn: int, expected: int | None) -> None:
    ad = Advertisement(
        name="a", prefixes=frozenset({POD}), change=Change(local_preference=300, prepend=2)
    )
    (export,) = given(ad, to=peer(remote_asn=remote_asn)).values()
    assert export.local_preference == expected
    # Nothing is prepended to an internal peer: it would be a loop there.
    assert bool(export.as_path) is (expected is None)


def test_export_filters_have_the_last_word() -> None:
    ad = Advertisement(
        name="a", prefixes=frozenset({POD, HOST}), change=Change(add_communities=((65201, 1),))
    )
    term = Term(match=Match(prefixes=(AcceptRule(prefix=HOST),)), action=Action.REJECT)
    more = Term(change=Change(add_communities=((65201, 9),)))
    only_pods = Filter(name="f", terms=(term, more))
    found = given(ad, to=peer(export_filter=only_pods))
    assert found == {POD: Export(communities=((65201, 1), (65201, 9)))}
