from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from cni.attachment.alias import (
    Addresses,
    MalformedAliasError,
    parse_alias,
    render_alias,
    stored_key,
)
from cni.attachment.identity import AttachmentKey, format_mac, host_name, pod_mac
from cni.attachment.plan import LinkSettings, plan_pod_link

KEY = AttachmentKey(network="podroute", container_id="c" * 64, ifname="eth0")
BOTH = Addresses(ipv4=IPv4Address("10.244.1.5"), ipv6=IPv6Address("fd00:244:1::5"))


def test_names_are_stable_and_fit() -> None:
    # A change of these would orphan every link of a running node: they are a format.
    assert host_name(KEY) == "podcd6vch3egpxz"
    assert format_mac(pod_mac(KEY)) == "4a:32:e4:10:20:f9"


def test_every_part_of_the_key_changes_the_name() -> None:
    others = [
        AttachmentKey(network="other", container_id=KEY.container_id, ifname="eth0"),
        AttachmentKey(network="podroute", container_id="c" * 63, ifname="eth0"),
        AttachmentKey(network="podroute", container_id=KEY.container_id, ifname="eth1"),
    ]
    assert len({host_name(key) for key in [KEY, *others]}) == 4


def test_the_alias_is_readable_and_read_back() -> None:
    alias = render_alias(KEY, BOTH)
    assert alias == f"podroute/1 podroute {'c' * 64} eth0 10.244.1.5 fd00:244:1::5"
    assert parse_alias(alias) == (KEY, BOTH)


@pytest.mark.parametrize(
    "addresses",
    [Addresses(ipv4=IPv4Address("10.0.0.1")), Addresses(ipv6=IPv6Address("fd00::1"))],
)
def test_one_family_alone(addresses: Addresses) -> None:
    assert parse_alias(render_alias(KEY, addresses)) == (KEY, addresses)


def test_ids_of_300_characters_stand_by_their_hash() -> None:
    long = AttachmentKey(network="n" * 300, container_id="c" * 300, ifname="e" * 15)
    addresses = Addresses(
        ipv4=IPv4Address("255.255.255.255"),
        ipv6=IPv6Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    )
    alias = render_alias(long, addresses)
    assert len(alias.encode()) <= 255
    assert parse_alias(alias) == (stored_key(long), addresses)
    assert stored_key(stored_key(long)) == stored_key(long)


@pytest.mark.parametrize(
    "alias",
    [
        "",
        "eth0 of somebody",
        "podroute/2 n c eth0 10.0.0.1 -",
        "podroute/1 n c eth0 - -",
        "podroute/1 n c eth0 10.0.0.256 -",
        "podroute/1 n c eth0 fd00::1 -",
        "podroute/1 n  eth0 10.0.0.1 -",
        "podroute/1 n c eth0 10.0.0.1",
    ],
)
def test_what_is_no_alias_of_ours_is_refused(alias: str) -> None:
    with pytest.raises(MalformedAliasError):
        parse_alias(alias)


def test_the_plan_in_words() -> None:
    settings = LinkSettings(mtu=1500, sources=Addresses(ipv4=IPv4Address("10.255.1.1")))
    assert plan_pod_link(KEY, BOTH, settings).describe() == (
        "create link podcd6vch3egpxz with eth0 in the sandbox, mtu 1500",
        "filter: accept only 10.244.1.5, fd00:244:1::5 from it",
        "sandbox: set addrgenmode none",
        "sandbox: set up",
        "sandbox: add address 10.244.1.5",
        "sandbox: add neighbor 169.254.1.1 at ee:ee:ee:ee:ee:ee",
        "sandbox: add default route via 169.254.1.1",
        "sandbox: add address fd00:244:1::5",
        "sandbox: add neighbor fe80::1 at ee:ee:ee:ee:ee:ee",
        "sandbox: add default route via fe80::1",
        f"host: set addrgenmode none, alias 'podroute/1 podroute {'c' * 64} eth0"
        " 10.244.1.5 fd00:244:1::5'",
        "host: set up",
        "host: remove the multicast route",
        "host: add neighbor 10.244.1.5 at 4a:32:e4:10:20:f9",
        "host: add host route 10.244.1.5 src 10.255.1.1",
        "host: add neighbor fd00:244:1::5 at 4a:32:e4:10:20:f9",
        "host: add host route fd00:244:1::5",
    )
