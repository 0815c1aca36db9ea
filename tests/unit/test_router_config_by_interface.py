"""Peers by interface in the configuration: resolved, waiting, wrong."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.unnumbered import Discovered

TEXT = """
node: node1
local_asn: 65201
node_addresses: [10.255.1.1]
peers:
  - {interface: eth1, remote_asn: 65101, hold_time_s: 3, bfd: {interval_ms: 100}}
  - {name: tor2, interface: eth2, remote_asn: 65102}
"""
OWN, ROUTER = IPv6Address("fe80::a"), IPv6Address("fe80::1")


def load(text: str = TEXT, *discovered: Discovered) -> AgentSettings:
    surroundings = Surroundings(
        host_name="host", read_password=lambda _: Secret("x"), discovered=discovered
    )
    return load_settings(text, source="config.yaml", surroundings=surroundings)


def test_both_ends_make_a_peer() -> None:
    settings = load(TEXT, Discovered("eth1", OWN, ROUTER), Discovered("eth2", why_not="no carrier"))
    (peer,) = settings.peers
    assert (peer.name, str(peer.address), peer.local_address) == ("eth1", "fe80::1%eth1", OWN)
    assert (peer.families, peer.hold_time_s) == (frozenset({4, 6}), 3)
    assert peer.bfd is not None
    (waiting,) = settings.waiting
    assert (waiting.peer.name, waiting.interface, waiting.reason) == ("tor2", "eth2", "no carrier")
    assert settings.notes == ("tor2 waits on eth2: no carrier",)
    assert settings.interfaces == ("eth1", "eth2")


def test_before_any_look_both_wait() -> None:
    settings = load()
    assert settings.peers == ()
    assert [one.peer.name for one in settings.waiting] == ["eth1", "tor2"]
    assert settings.interfaces == ("eth1", "eth2")


def test_a_note_about_a_link_is_passed_on() -> None:
    note = "other routers are there, too"
    settings = load(TEXT, Discovered("eth1", OWN, ROUTER, note=note))
    assert f"eth1: {note}" in settings.notes


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("interface: eth2", "interface: eth1"),
            "line 7: peers[1].interface: eth1 has a peer already",
        ),
        (
            ("interface: eth2", 'interface: "a b"'),
            "line 7: peers[1].interface: 'a b' is not the name of an interface such as eth1",
        ),
        (
            ("interface: eth2", "interface: eth2, address: 10.0.0.1"),
            "line 7: peers[1].address: not for a peer by interface",
        ),
        (
            ("interface: eth2", "interface: eth2, local_address: fe80::1"),
            "line 7: peers[1].local_address: not for a peer by interface",
        ),
        (
            ("interface: eth2", "interface: eth2, multihop_ttl: 2"),
            "line 7: peers[1].multihop_ttl: not for a peer by interface",
        ),
        (
            ("interface: eth2, remote_asn: 65102", "interface: eth2"),
            "line 7: peers[1].remote_asn: is required",
        ),
        (
            ("interface: eth2", "address: fe80::1"),
            "line 7: peers[1].address: a link-local address alone names no peer;"
            " give its interface",
        ),
    ],
)
def test_what_is_wrong_is_named_whether_the_peer_was_found_or_not(
    change: tuple[str, str], expected: str
) -> None:
    for discovered in ((), (Discovered("eth1", OWN, ROUTER), Discovered("eth2", OWN, OWN))):
        with pytest.raises(ConfigError) as caught:
            load(TEXT.replace(*change), *discovered)
        assert f"config.yaml: {expected}" in str(caught.value).splitlines()
