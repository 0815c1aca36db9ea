"""The short way to an address in words leads where ``str`` does."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni.spec.text import text_of

groups = st.lists(st.sampled_from([0, 0, 1, 0xFFFF, 0xAB]), min_size=8, max_size=8)


@given(
    st.ip_addresses()
    | groups.map(lambda each: IPv6Address(b"".join(n.to_bytes(2, "big") for n in each)))
)
def test_any_address(address: IPv4Address | IPv6Address) -> None:
    assert text_of(address) == str(address)


@pytest.mark.parametrize(
    "text", ["::", "::1", "::ffff:192.0.2.1", "::192.0.2.1", "fe80::1%eth0", "1:0:0:2:0:0:0:3"]
)
def test_special_addresses(text: str) -> None:
    assert text_of(IPv6Address(text)) == str(IPv6Address(text))


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "fd00::/64"])
def test_networks(text: str) -> None:
    assert text_of(ip_network(text)) == text
