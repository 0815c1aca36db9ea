"""Peers by interface in the speaker's words: both ends tell who it is."""

from __future__ import annotations

import json
from ipaddress import IPv6Address
from typing import Any

import pytest

from bgp.event import Connected, Updated
from bgp.peer_id import PeerId
from bgp.speaker.events import parse


def line(kind: str, peer: str, local: str, **content: Any) -> bytes:
    neighbor = {"address": {"local": local, "peer": peer}, **content}
    return json.dumps({"exabgp": "5.0.0", "type": kind, "neighbor": neighbor}).encode()


@pytest.mark.parametrize(
    "hops",
    [("fe80::1",), ("fd00:0:1::2", "fe80::1"), ("::", "fe80::1"), ("10.255.0.1",)],
)
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_what_a_peer_by_interface_announces_goes_via_that_peer(
    family: str, hops: tuple[str, ...]
) -> None:
    prefix = {"ipv4": "10.244.2.0/24", "ipv6": "fd00:244:2::/64"}[family]
    peers = {"fe80::1 fe80::a": PeerId("tor1"), "fe80::1 fe80::b": PeerId("tor2")}
    via = {PeerId(f"tor{n}"): IPv6Address(f"fe80::1%eth{n}") for n in (1, 2)}
    announce = {f"{family} unicast": {hop: [{"nlri": prefix}] for hop in hops}}
    content = {"update": {"attribute": {"origin": "igp"}, "announce": announce}}
    raw = line("update", "fe80::1", "fe80::b", direction="receive", message=content)

    (event,) = parse(raw, peers, via)

    assert isinstance(event, Updated)
    (change,) = event.changes
    assert change.attributes is not None
    assert event.peer == "tor2"
    assert str(change.attributes.next_hop) == "fe80::1%eth2"
    assert [str(p) for p in change.announced] == [prefix]


def test_a_session_by_interface_is_told_by_both_ends() -> None:
    peers = {"fe80::1 fe80::a": PeerId("tor1"), "fe80::1 fe80::b": PeerId("tor2")}
    for local, name in (("fe80::a", "tor1"), ("fe80::b", "tor2"), ("fe80::c", "fe80::1 fe80::c")):
        (event,) = parse(line("state", "fe80::1", local, state="connected"), peers)
        assert event == Connected(peer=PeerId(name))
