"""Lines of ExaBGP 5.0.15, as it wrote them, and what they mean."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from bgp.event import (
    Alive,
    Change,
    Connected,
    Direction,
    EndOfRib,
    Event,
    Notified,
    Opened,
    Refreshed,
    Sent,
    SessionDown,
    SessionUp,
    SpeakerStopped,
    Updated,
)
from bgp.nlri import Prefix
from bgp.path import Attributes, Origin
from bgp.peer_id import PeerId
from bgp.speaker.events import EventError, parse

V4, V6 = PeerId("tor1-v4"), PeerId("tor1-v6")
PEERS = {"10.0.1.2": V4, "fd00:0:1::2": V6}


def line(kind: str, peer: str = "10.0.1.2", local: str = "10.0.1.3", **content: Any) -> bytes:
    neighbor = {
        "address": {"local": local, "peer": peer},
        "asn": {"local": 65201, "peer": 65101},
        "router-id": "10.255.1.1",
        **content,
    }
    head = {"exabgp": "5.0.0", "time": 1795544800.14, "host": "vm", "pid": 8617, "ppid": 1}
    return json.dumps({**head, "counter": 1, "type": kind, "neighbor": neighbor}).encode()


def update(direction: str = "receive", peer: str = "10.0.1.2", **content: Any) -> bytes:
    return line("update", peer, direction=direction, message={"update": content})


def one(raw: bytes) -> Event:
    (event,) = parse(raw, PEERS)
    return event


def test_states() -> None:
    assert one(line("state", state="connected", local="None")) == Connected(peer=V4)
    assert one(line("state", state="up")) == SessionUp(
        peer=V4, local_address=ip_address("10.0.1.3")
    )
    assert one(line("state", state="up", local="None")) == SessionUp(peer=V4, local_address=None)
    assert one(line("state", state="down", reason="closing connection")) == SessionDown(
        peer=V4, reason="closing connection"
    )


def test_peer_that_is_not_known_goes_by_its_address() -> None:
    assert one(line("state", peer="fd00:0:0::9", state="connected")) == Connected(
        peer=PeerId("fd00::9")
    )


# From an FRR 8.4: graceful restart with the restart bit, families without the forwarding bit.
FRR_OPEN = {
    "version": 4,
    "asn": 23456,
    "hold_time": 9,
    "router_id": "10.255.0.2",
    "capabilities": {
        "1": {"name": "multiprotocol", "families": ["ipv4/unicast"]},
        "2": {"name": "route-refresh", "variant": "RFC"},
        "64": {
            "name": "graceful restart",
            "time": 120,
            "address-family-flags": {"ipv4/unicast": ["restart"], "ipv6/unicast": []},
            "restart-flags": ["forwarding"],
        },
        "65": {"name": "asn4", "asn4": 4200000001},
        "71": {"name": "unknown", "iana": "unassigned", "value": 71, "raw": ""},
        "hostname": {"host-name": None, "domain-name": None},
    },
}


def test_open() -> None:
    event = one(line("open", direction="receive", open=FRR_OPEN))

    assert event == Opened(
        peer=V4,
        direction=Direction.RECEIVED,
        asn=4200000001,
        hold_time_s=9,
        router_id="10.255.0.2",
        families=frozenset({4}),
        restart_time_s=120,
        restarting=True,
        restart_families=frozenset({4, 6}),
        preserved_families=frozenset({4}),
        capabilities=frozenset(
            {"multiprotocol", "route-refresh", "graceful restart", "asn4", "unknown"}
        ),
    )


def test_open_without_capabilities() -> None:
    bare = {**FRR_OPEN, "asn": 65101, "capabilities": {}}
    event = one(line("open", direction="send", open=bare))

    assert isinstance(event, Opened)
    assert event.asn == 65101
    assert event.families == {4}
    assert event.restart_time_s is None
    assert not event.restarting


def test_update_with_every_attribute() -> None:
    event = one(
        update(
            attribute={
                "origin": "egp",
                "as-path": {
                    "0": {"element": "as-sequence", "value": [65101, 65202]},
                    "1": {"element": "as-set", "value": [3, 1]},
                },
                "med": 5,
                "local-preference": 200,
                "community": [[65000, 7]],
                "large-community": [[65101, 1, 2]],
                "extended-community": [{"value": 1, "string": "x"}],
            },
            announce={"ipv4 unicast": {"10.0.1.2": [{"nlri": "10.244.2.0/24"}]}},
            withdraw={"ipv4 unicast": [{"nlri": "10.244.3.0/24"}, {"nlri": "10.244.2.0/24"}]},
        )
    )

    assert event == Updated(
        peer=V4,
        changes=(
            Change(
                Attributes(
                    next_hop=ip_address("10.0.1.2"),
                    as_path=(65101, 65202),
                    as_sets=((1, 3),),
                    origin=Origin.EGP,
                    med=5,
                    local_preference=200,
                    communities=((65000, 7),),
                    large_communities=((65101, 1, 2),),
                ),
                (Prefix.parse("10.244.2.0/24"),),
            ),
            Change(None, (), (Prefix.parse("10.244.3.0/24"),)),
        ),
    )


@pytest.mark.parametrize(
    ("peer", "hops", "chosen"),
    [
        ("fd00:0:1::2", ("fd00:0:1::2", "fe80::1"), "fd00:0:1::2"),
        ("fd00:0:1::2", ("fe80::1", "fd00:0:1::2"), "fd00:0:1::2"),
        ("fd00:0:1::2", ("fe80::1",), "fe80::1%fd00:0:1::2"),
        ("fd00:0:1::2", ("::", "fe80::1"), "fe80::1%fd00:0:1::2"),
    ],
)
def test_one_half_of_an_ipv6_next_hop_is_taken(
    peer: str, hops: tuple[str, ...], chosen: str
) -> None:
    announce = {"ipv6 unicast": {hop: [{"nlri": "fd00:244:2::/64"}] for hop in hops}}
    event = one(update(peer=peer, attribute={"origin": "igp"}, announce=announce))

    assert isinstance(event, Updated)
    (change,) = event.changes
    assert change.attributes is not None
    assert change.attributes.next_hop == ip_address(chosen)


def test_host_bits_are_cleared_and_other_families_left_out() -> None:
    event = one(
        update(
            attribute={"origin": "igp"},
            announce={
                "ipv4 unicast": {"10.0.1.2": [{"nlri": "10.244.2.1/24"}]},
                "ipv4 flow": {"no-nexthop": [{"destination-ipv4": ["10.0.0.0/8"]}]},
            },
        )
    )

    assert isinstance(event, Updated)
    assert [str(prefix) for prefix in event.changes[0].announced] == ["10.244.2.0/24"]


def test_end_of_rib_both_ways() -> None:
    eor = {"eor": {"afi": "ipv6", "safi": "unicast"}}

    assert one(line("update", direction="receive", message=eor)) == EndOfRib(peer=V4, family=6)
    assert one(line("update", direction="send", message=eor)) == Sent(peer=V4, end_of_rib=6)
    other = {"eor": {"afi": "l2vpn", "safi": "evpn"}}
    assert parse(line("update", direction="receive", message=other), PEERS) == ()


def test_sent_update() -> None:
    event = one(
        update(
            "send",
            attribute={"origin": "igp", "community": [[65535, 0]]},
            announce={"ipv4 unicast": {"10.0.1.3": [{"nlri": "10.244.1.0/24"}]}},
        )
    )
    assert event == Sent(
        peer=V4,
        announced=(Prefix.parse("10.244.1.0/24"),),
        attributes=Attributes(next_hop=ip_address("10.0.1.3"), communities=((65535, 0),)),
    )


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('Shutdown Communication: "back at 5"', "back at 5"),
        ("", ""),
        ("0x0A0B", ""),
        ("???????", ""),
        ("ASN in OPEN did not match", "ASN in OPEN did not match"),
        ('Shutdown Communication: "a\u202eb\x1b[31m"', "a?b?[31m"),
    ],
)
def test_notification(message: str, text: str) -> None:
    content = {"code": 6, "subcode": 2, "data": "0x", "message": message}
    event = one(line("notification", direction="receive", notification=content))

    assert event == Notified(peer=V4, direction=Direction.RECEIVED, code=6, subcode=2, text=text)


def test_refresh() -> None:
    content = {"afi": "ipv4", "safi": "unicast", "subtype": "request"}

    assert one(line("refresh", direction="receive", **{"route-refresh": content})) == Refreshed(
        peer=V4, family=4
    )


def test_lines_about_the_speaker() -> None:
    assert one(b"exabgp 5.0.15") == Alive()
    assert one(b'{ "exabgp": "5.0.0", "type": "notification", "notification": "shutdown" }') == (
        SpeakerStopped()
    )
    assert parse(line("keepalive", direction="receive"), PEERS) == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"error",
        b"[]",
        b"{}",
        b'{"type": []}',
        b"\xff\xfe",
        b"[" * 100_000,
        line("state", state="sideways"),
        line("state", peer="nobody", state="up"),
        line("state", state="down"),
        line("open", direction="receive", open={**FRR_OPEN, "hold_time": "9"}),
        line("open", direction="receive", open={**FRR_OPEN, "router_id": "x"}),
        update(attribute={}, announce={"ipv4 unicast": {"null": [{"nlri": "10.0.0.0/8"}]}}),
        update(
            attribute={"origin": "me"}, announce={"ipv4 unicast": {"10.0.0.1": [{"nlri": "x"}]}}
        ),
        update(attribute={"med": True}, announce={"ipv4 unicast": {"10.0.0.1": []}}),
        update(attribute={"med": 2**32}, announce={"ipv4 unicast": {"10.0.0.1": []}}),
        update(withdraw={"ipv4 unicast": [{}]}),
        update("sideways"),
    ],
)
def test_malformed_lines_are_a_typed_error(raw: bytes) -> None:
    with pytest.raises(EventError) as error:
        parse(raw, PEERS)
    assert len(str(error.value)) < 2000


def test_an_error_is_short_however_long_the_line() -> None:
    announced = {"ipv4 unicast": {"[" * 9000: []}}
    raw = line("update", direction="send", message={"update": {"announce": announced}})
    with pytest.raises(EventError) as caught:
        parse(raw, PEERS)
    assert len(str(caught.value)) < 2000
