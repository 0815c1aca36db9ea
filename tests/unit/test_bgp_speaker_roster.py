"""Who the peers are, for a speaker that knows only addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import Any

from bgp.event import Direction, Opened, SessionDown
from bgp.export import PLAIN
from bgp.nlri import Prefix
from bgp.peer import PeerId, PeerSettings, SpeakerConfig
from bgp.secret import Secret
from bgp.speaker.roster import Roster

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
    assert roster.address(PeerId("tor2")) == TOR2
    assert roster.address(PeerId("10.9.9.9")) == ip_address("10.9.9.9")
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
