"""The router id that a node without an IPv4 address gets."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from router.config.router_id import hashed_router_id


@given(st.text())
def test_every_router_takes_it(identity: str) -> None:
    found = hashed_router_id(identity)
    assert IPv4Address("1.0.0.0") <= found < IPv4Address("224.0.0.0")
    assert not found.is_multicast
    assert found == hashed_router_id(identity)


def test_it_never_changes_between_versions() -> None:
    # A node whose id changes resets all its sessions.
    assert str(hashed_router_id("node1")) == "85.191.95.41"
