from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from cni.ipam.pool import make_pool, to_address


def usable(family: int, *cidrs: str, reserved: tuple[str, ...] = ()) -> list[str]:
    entries = [ip_network(entry) for entry in reserved]
    pool = make_pool(family, map(ip_network, cidrs), entries)
    numbers = list(pool.after(-1))
    assert len(numbers) == pool.size
    return [str(to_address(family, number)) for number in numbers]


@pytest.mark.parametrize(
    ("cidr", "expected"),
    [
        pytest.param("10.0.0.0/29", [f"10.0.0.{n}" for n in range(1, 7)], id="both ends left out"),
        pytest.param("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"], id="smallest with ends"),
        pytest.param("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"], id="RFC 3021"),
        pytest.param("10.0.0.7/32", ["10.0.0.7"], id="a single address"),
        pytest.param("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"], id="anycast left out"),
        pytest.param("fd00::/127", ["fd00::", "fd00::1"], id="RFC 6164"),
        pytest.param("fd00::7/128", ["fd00::7"], id="a single IPv6 address"),
    ],
)
def test_usable_addresses_of_a_cidr(cidr: str, expected: list[str]) -> None:
    assert usable(ip_network(cidr).version, cidr) == expected


def test_cidrs_of_the_other_family_do_not_count() -> None:
    assert usable(4, "fd00::/126") == []


def test_several_cidrs_overlapping_and_reserved() -> None:
    found = usable(4, "10.0.0.0/30", "10.0.1.0/29", "10.0.1.4/31", reserved=("10.0.1.2/31",))
    assert found == ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.4", "10.0.1.5", "10.0.1.6"]


def test_a_reserved_address_object() -> None:
    pool = make_pool(4, [ip_network("10.0.0.0/30")], [ip_address("10.0.0.1")])
    assert list(pool.after(-1)) == [int(ip_address("10.0.0.2"))]


def test_the_walk_begins_anywhere_and_wraps() -> None:
    pool = make_pool(4, map(ip_network, ("10.0.0.0/30", "10.0.1.0/30")))
    everything = list(pool.after(-1))
    for start in (0, everything[0], everything[1], everything[1] + 9, everything[3], 2**32):
        walk = list(pool.after(start))
        assert sorted(walk) == everything
        later = [number for number in everything if number > start]
        assert walk[0] == (later or everything)[0]


def test_membership() -> None:
    pool = make_pool(4, [ip_network("10.0.0.0/30")])
    assert [n for n in range(167772155, 167772165) if n in pool] == [167772161, 167772162]


def test_a_large_ipv6_pool_costs_nothing() -> None:
    pool = make_pool(6, [ip_network("fd00::/64")])
    assert pool.size == 2**64 - 1
    assert len(pool.starts) == 1
