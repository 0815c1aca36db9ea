"""Prefix, Secret, PeerSettings, SpeakerConfig: what they accept, refuse and show."""

from __future__ import annotations

import pickle
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest

from bgp.nlri import Prefix, PrefixError
from bgp.peer import PeerError, PeerSettings
from bgp.peer_id import PeerId
from bgp.secret import Secret, SecretError
from bgp.speaker_config import SpeakerConfig

ROUTER_ID = IPv4Address("10.255.1.1")


def peer(**changes: Any) -> PeerSettings:
    values: dict[str, Any] = {
        "name": PeerId("tor1"),
        "address": ip_address("10.0.1.2"),
        "remote_asn": 65101,
        "local_asn": 65201,
    }
    return PeerSettings(**{**values, **changes})


@pytest.mark.parametrize(
    "text", ["10.244.1.0/24", "0.0.0.0/0", "10.0.0.1/32", "::/0", "fd00:244:1::/64", "::1/128"]
)
def test_prefix_is_what_ipaddress_says(text: str) -> None:
    prefix = Prefix.parse(text)

    assert str(prefix) == text
    assert prefix.to_network() == ip_network(text)
    assert Prefix.from_network(ip_network(text)) == prefix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1/24",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/٨",
        "10.0.0/8",
        " 10.0.0.0/8",
        "10.0.0.0/8 ",
        "fe80::1%eth0/128",
        "fd00::/129",
        "fd00::/0064",
        "10.0.0.0\0/8",
        "10.0.0.0/8/8",
    ],
)
def test_prefix_refuses(text: str) -> None:
    with pytest.raises(PrefixError, match="not a prefix"):
        Prefix.parse(text)


def test_prefix_host_and_masked() -> None:
    assert Prefix.parse("10.0.0.1") == Prefix.from_address(ip_address("10.0.0.1"))
    assert str(Prefix.parse_masked("10.1.2.3/16")) == "10.1.0.0/16"


def test_prefix_covers() -> None:
    wide, narrow = Prefix.parse("10.244.0.0/16"), Prefix.parse("10.244.1.0/24")

    assert wide.covers(narrow)
    assert wide.covers(wide)
    assert not narrow.covers(wide)
    assert narrow.overlaps(wide)
    assert not Prefix.parse("::/0").covers(narrow)


def test_secret_never_shows() -> None:
    secret = Secret("hunter2")

    assert "hunter2" not in f"{secret} {secret!r} {peer(password=secret)!r}"
    assert secret == Secret(b"hunter2")
    assert secret != Secret("hunter3")
    assert secret.base64() == "aHVudGVyMg=="
    with pytest.raises(SecretError):
        pickle.dumps(secret)


@pytest.mark.parametrize("value", ["", "x" * 81, "é" * 41])
def test_secret_refuses(value: str) -> None:
    with pytest.raises(SecretError):
        Secret(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "a b"),
        ("name", "tor1;"),
        ("name", ""),
        ("address", ip_address("224.0.0.1")),
        ("address", IPv6Address("fd00::1%eth0")),
        ("address", ip_address("fe80::1")),
        ("interface", IPv6Address("fe80::1%a b")),
        ("interface", IPv6Address("fe80::1%eth1;")),
        ("interface", IPv6Address("fe80::1%sixteen-letters-")),
        ("address", ip_address("0.0.0.0")),
        ("remote_asn", 0),
        ("remote_asn", 2**32),
        ("local_asn", 0),
        ("local_address", ip_address("fd00::1")),
        ("families", frozenset({5})),
        ("hold_time_s", 2),
        ("hold_time_s", 65536),
        ("graceful_restart_s", -1),
        ("graceful_restart_s", 4096),
        ("port", 0),
        ("multihop_ttl", 256),
        ("passive", True),
    ],
)
def test_peer_names_the_wrong_field(field: str, value: Any) -> None:
    with pytest.raises(PeerError) as error:
        peer(**{"address" if field == "interface" else field: value})

    assert error.value.field == field


def by_interface(
    name: str, interface: str, router: str = "fe80::1", **changes: Any
) -> PeerSettings:
    return peer(
        name=PeerId(name),
        address=IPv6Address(f"{router}%{interface}"),
        **{"local_address": IPv6Address("fe80::aa"), **changes},
    )


def test_a_peer_by_interface() -> None:
    tor = by_interface("tor1", "eth1")

    assert tor.interface == "eth1"
    assert tor.families == {4, 6}
    assert str(tor.remote) == "fe80::1 local-ip fe80::aa"
    assert by_interface("tor1", "eth1", families=frozenset({6})).families == {6}
    assert peer().interface is None
    assert peer().remote == peer().address
    for wrong in (None, IPv6Address("fd00::1")):
        with pytest.raises(PeerError, match="link-local"):
            by_interface("tor1", "eth1", local_address=wrong)


def test_two_links_with_the_same_addresses_at_both_ends_are_refused() -> None:
    tor1, tor2 = by_interface("tor1", "eth1"), by_interface("tor2", "eth2")
    with pytest.raises(PeerError, match="another link-local address") as error:
        SpeakerConfig(router_id=ROUTER_ID, peers=(tor1, tor2))
    assert error.value.field == "interface"

    other = by_interface("tor2", "eth2", local_address=IPv6Address("fe80::bb"))
    SpeakerConfig(router_id=ROUTER_ID, peers=(tor1, other))


def test_peer_defaults() -> None:
    assert peer().families == {4}
    assert peer(address=ip_address("fd00::2")).families == {6}
    assert not peer().is_internal
    assert peer(remote_asn=65201).is_internal


@pytest.mark.parametrize("field", ["name", "address"])
def test_config_refuses_twins(field: str) -> None:
    twin = {"name": {"address": ip_address("10.0.2.2")}, "address": {"name": PeerId("b")}}

    with pytest.raises(PeerError) as error:
        SpeakerConfig(router_id=ROUTER_ID, peers=(peer(), peer(**twin[field])))
    assert error.value.field == field


def test_config_refuses_a_zero_router_id() -> None:
    with pytest.raises(PeerError, match="router_id"):
        SpeakerConfig(router_id=IPv4Address("0.0.0.0"))


def test_networks_are_of_the_peers_family_sorted_and_unique() -> None:
    networks = tuple(map(Prefix.parse, ("10.2.0.0/24", "fd00::/64", "10.1.0.0/24", "10.2.0.0/24")))
    config = SpeakerConfig(router_id=ROUTER_ID, peers=(peer(),), networks=networks)

    assert [str(n) for n in config.networks_for(peer())] == ["10.1.0.0/24", "10.2.0.0/24"]
