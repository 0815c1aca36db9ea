"""Who the peers are, for a speaker that knows only addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from bgp.ends import EXTENDED_NEXT_HOP, Ends, name_of
from bgp.event import Connected, Direction, Opened, SessionDown, SpeakerStarted
from bgp.export import PLAIN
from bgp.nlri import Prefix
from bgp.peer import PeerSettings
from bgp.peer_id import PeerId
from bgp.secret import Secret
from bgp.speaker.roster import Roster
from bgp.speaker_config import SpeakerConfig

TOR1, TOR2 = ip_address("10.0.1.2"), ip_address("10.0.2.2")


def peer(name: str, number: int, **changes: Any) -> PeerSettings:
    return PeerSettings(
        name=PeerId(name),
        address=ip_address(f"10.0.{number}.2"),
        remote_asn=65101,
        local_asn=65201,
        **changes,
    )


def config(*peers: PeerSettings) -> SpeakerConfig:
    pods = (Prefix.parse("10.244.1.0/24"),)
    return SpeakerConfig(router_id=IPv4Address("10.255.1.1"), peers=peers, networks=pods)


def opened(name: str, hold_time_s: int) -> Opened:
    return Opened(
        peer=PeerId(name),
        direction=Direction.RECEIVED,
        asn=65101,
        hold_time_s=hold_time_s,
        router_id="10.255.0.1",
        families=frozenset({4}),
        restart_time_s=None,
        restarting=False,
        restart_families=frozenset(),
        preserved_families=frozenset(),
        capabilities=frozenset(),
    )


def test_names_and_addresses() -> None:
    roster = Roster()
    assert roster.take(config(peer("tor1", 1, port=1790), peer("tor2", 2))) == ()

    assert roster.ids == {"10.0.1.2": "tor1", "10.0.2.2": "tor2"}
    assert roster.remote(PeerId("tor2")) == TOR2
    assert roster.remote(PeerId("10.9.9.9")) == ip_address("10.9.9.9")
    assert roster.remotes == {(TOR1, 1790), (TOR2, 179)}
    assert roster.port(TOR1) == 1790
    assert roster.port(ip_address("10.9.9.9")) == 179


def test_renamed_and_leaving_peers() -> None:
    roster = Roster()
    roster.take(config(peer("tor1", 1), peer("tor2", 2)))

    assert roster.take(config(peer("spine1", 1))) == (TOR1,)
    assert roster.leaving == {TOR2}
    assert roster.take(config(peer("spine1", 1))) == ()
    assert roster.leaving == {TOR2}
    roster.take(config(peer("spine1", 1), peer("tor2", 2)))
    assert roster.leaving == frozenset()
    roster.take(config())
    roster.clear()
    assert roster.leaving == frozenset()


def test_shortest_hold_time() -> None:
    roster = Roster()
    assert roster.shortest_hold_time_s == 9
    roster.take(config(peer("tor1", 1, hold_time_s=30), peer("tor2", 2, hold_time_s=60)))
    assert roster.shortest_hold_time_s == 30
    roster.note(opened("tor2", 6))
    assert roster.shortest_hold_time_s == 6
    roster.note(SessionDown(peer=PeerId("tor2"), reason=""))
    assert roster.shortest_hold_time_s == 30
    roster.note(opened("tor2", 0))
    assert roster.shortest_hold_time_s == 30
    roster.clear()


def test_secrets_and_wanted() -> None:
    roster = Roster()
    given = config(peer("tor1", 1, password=Secret("a")), peer("tor2", 2))
    roster.take(given)

    assert roster.secrets == (Secret("a"),)
    assert roster.wanted(given)[TOR1] == (frozenset({4}), dict.fromkeys(given.networks, PLAIN))


OWN1, OWN2 = IPv6Address("fe80::a"), IPv6Address("fe80::b")


def by_interface(name: str, link: str, own: IPv6Address, router: str = "fe80::1") -> PeerSettings:
    return PeerSettings(
        name=PeerId(name),
        address=IPv6Address(f"{router}%{link}"),
        local_address=own,
        remote_asn=65101,
        local_asn=65201,
    )


def test_both_tors_may_have_the_same_link_local_address() -> None:
    roster = Roster()
    given = config(by_interface("tor1", "eth1", OWN1), by_interface("tor2", "eth2", OWN2))
    assert roster.take(given) == ()

    assert roster.ids == {"fe80::1 fe80::a": "tor1", "fe80::1 fe80::b": "tor2"}
    assert roster.remote(PeerId("tor2")) == Ends(IPv6Address("fe80::1"), OWN2)
    assert {name: str(hop) for name, hop in roster.via.items()} == {
        "tor1": "fe80::1%eth1",
        "tor2": "fe80::1%eth2",
    }
    assert roster.remotes == {(IPv6Address("fe80::1"), 179)}
    assert len(roster.wanted(given)) == 2


def test_another_address_on_either_end_is_another_session() -> None:
    roster = Roster()
    roster.take(config(by_interface("tor1", "eth1", OWN1)))

    assert roster.take(config(by_interface("tor1", "eth1", OWN2))) == ()
    assert roster.leaving == {Ends(IPv6Address("fe80::1"), OWN1)}
    assert roster.take(config(by_interface("tor1", "eth1", OWN2, "fe80::2"))) == ()
    assert len(roster.leaving) == 2
    # Their last words are told under both ends.
    assert {roster.remote(PeerId(name_of(remote))) for remote in roster.leaving} == roster.leaving


def test_a_peer_that_comes_back_before_it_was_let_go_begins_anew() -> None:
    roster = Roster()
    there, gone = config(by_interface("tor1", "eth1", OWN1)), config()
    old = SessionDown(peer=PeerId("tor1"), reason="")
    roster.take(there)
    assert not roster.is_old(old)
    roster.take(gone)

    assert roster.take(there) == (Ends(IPv6Address("fe80::1"), OWN1),)
    assert roster.is_old(old)
    assert not roster.is_old(SpeakerStarted(pid=1))
    assert not roster.is_old(Connected(peer=PeerId("tor1")))
    assert not roster.is_old(old)


def test_a_peer_on_another_link_is_dialled_anew_once_that_is_in_force() -> None:
    roster = Roster()
    roster.take(config(by_interface("tor1", "eth1", OWN1)))

    assert roster.take(config(by_interface("tor1", "eth9", OWN1))) == ()
    assert roster.moved == {Ends(IPv6Address("fe80::1"), OWN1)}
    roster.clear()
    assert roster.moved == frozenset()


def test_ipv4_over_a_link_without_addresses_takes_extended_next_hops() -> None:
    roster = Roster()
    roster.take(config(by_interface("tor1", "eth1", OWN1)))
    remote = Ends(IPv6Address("fe80::1"), OWN1)
    both = replace(opened("tor1", 9), families=frozenset({4, 6}))
    able = replace(both, capabilities=frozenset({EXTENDED_NEXT_HOP}))
    roster.note(replace(able, direction=Direction.SENT))

    roster.note(able)
    assert roster.negotiated(remote) == {4, 6}
    roster.note(both)
    assert roster.negotiated(remote) == {6}
