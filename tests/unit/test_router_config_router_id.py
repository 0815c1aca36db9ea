"""The router id that a node without an IPv4 address gets."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

from hypothesis import given
from hypothesis import strategies as st

from bgp.secret import Secret
from router.config.load import load_settings
from router.config.router_id import hashed_router_id
from router.config.surroundings import Surroundings
from router.model.node import NodeView


@given(st.text())
def test_every_router_takes_it(identity: str) -> None:
    found = hashed_router_id(identity)
    assert IPv4Address("1.0.0.0") <= found < IPv4Address("224.0.0.0")
    assert not found.is_multicast
    assert found == hashed_router_id(identity)


def test_it_never_changes_between_versions() -> None:
    # A node whose id changes resets all its sessions.
    assert str(hashed_router_id("node1")) == "85.191.95.41"


def test_of_an_ipv6_only_node_it_is_a_hash_of_its_uid() -> None:
    def of(uid: str, name: str = "node1") -> IPv4Address:
        surroundings = Surroundings(
            host_name="host",
            read_password=lambda _: Secret("x"),
            node=NodeView(name=name, uid=uid, addresses=(ip_address("fd00::11"),)),
        )
        return load_settings("local_asn: 1\n", source="f", surroundings=surroundings).router_id

    assert of("a") == of("a", "node2") != of("b")
