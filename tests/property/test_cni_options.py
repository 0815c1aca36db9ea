"""Whatever the configuration holds, it is checked or refused; pools and leases follow a model."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.label import parse_label
from cni.attachment.lease import (
    FileIdentity,
    Lease,
    LeaseKey,
    MalformedLeaseError,
    Sandbox,
    parse_lease,
    render_lease,
)
from cni.ipam.pool import make_pool, narrow_pool
from cni.node_facts import NodeFacts
from cni.server.addressing import Addressing, Wish
from cni.spec.errors import CniError
from cni.spec.options import parse_ipam_options, parse_options
from cni.spec.requested import parse_requested

KEYS = st.sampled_from(
    (
        *("mtu", "reserved", "queues", "hostInterfacePrefix", "antiSpoofing", "dns", "ipam"),
        *("runtimeConfig", "args", "cni", "ips", "mac", "IPS", "type", "subnets", "routes", "dst"),
        *("gw", "gateways", "servers", "nameservers", "portMappings", "bandwidth", "Mtu", "a/b"),
    )
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(("10.0.0.1", "10.0.0.0/8", "fd00::1-fd00::9", "podroute-ipam", "0.0.0.0/0"))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS | st.text(max_size=12), VALUES, max_size=6))
def test_any_object_is_checked_or_refused(raw: dict[str, Any]) -> None:
    for parse in (
        parse_options,
        parse_ipam_options,
        lambda raw: parse_requested(raw, {"IP": str(raw.get("ips")), "MAC": "02:0:0"}),
        lambda raw: parse_requested(raw, {}, delegated=True),
    ):
        with contextlib.suppress(CniError):
            parse(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_lease_or_refused(content: bytes) -> None:
    parse_label(content)
    with contextlib.suppress(MalformedLeaseError):
        parse_lease(content)


NUMBERS = st.integers(min_value=0, max_value=2**63)
IDENTITIES = st.builds(FileIdentity, device=NUMBERS, inode=NUMBERS)


@given(
    st.builds(
        Lease,
        key=st.builds(LeaseKey, network=st.text(), container_id=st.text(), ifname=st.text()),
        addresses=st.builds(Addresses, ipv4=st.ip_addresses(v=4), ipv6=st.ip_addresses(v=6)),
        sandbox=st.none()
        | st.builds(Sandbox, path=st.text(), identity=IDENTITIES, directory=st.none() | IDENTITIES),
        since=st.floats(min_value=0, max_value=1e12),
    )
)
def test_a_lease_is_read_back(lease: Lease) -> None:
    assert parse_lease(render_lease(lease)) == lease


SMALL = st.builds(
    lambda number, length: ip_network((number & (0xFFFFFFFF << (32 - length)), length)),
    st.integers(min_value=0x0A000000, max_value=0x0A00003F),
    st.integers(min_value=27, max_value=32),
)


@given(st.lists(SMALL, max_size=4), st.lists(SMALL, max_size=3), st.lists(SMALL, max_size=3))
def test_a_narrowed_pool_is_what_a_set_says(
    cidrs: list[Any], within: list[Any], without: list[Any]
) -> None:
    pool = make_pool(4, cidrs)
    part = narrow_pool(pool, within, without)
    space = range(0x0A000000 - 1, 0x0A000042)

    def inside(networks: list[Any], number: int) -> bool:
        return any(IPv4Address(number) in network for network in networks)

    bounded = [n for n in space if n in pool and (not within or inside(within, n))]
    expected = [n for n in bounded if not inside(without, n)]
    assert [n for n in space if n in part] == expected
    assert (part.size, part.reserved) == (len(expected), len(bounded) - len(expected))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("allocate", "release")),
        st.integers(min_value=0, max_value=5),
        st.none() | st.integers(min_value=0x0A000000, max_value=0x0A00000F),
        st.lists(SMALL, max_size=2),
    ),
    max_size=30,
)


@given(STEPS)
def test_no_address_ever_has_two_holders(
    steps: list[tuple[str, int, int | None, list[Any]]],
) -> None:
    addressing = Addressing(lambda: 0.0)
    addressing.follow(
        NodeFacts(
            generation=1,
            node="n",
            pod_cidrs=(ip_network("10.0.0.0/28"),),
            node_addresses=(),
            mtu=0,
            ready=True,
            reason="",
        )
    )
    held: dict[int, Addresses] = {}
    for step, container, named, reserved in steps:
        key = AttachmentKey(network="n", container_id=str(container), ifname="eth0")
        if step == "release":
            if container in held:
                addressing.release(held.pop(container))
            continue
        if container in held:
            continue
        addresses = () if named is None else (IPv4Address(named),)
        try:
            given = addressing.allocate(key, Wish(addresses=addresses, reserved=tuple(reserved)))
        except CniError:
            continue
        assert given not in held.values()
        if named is None:
            assert not any(given.ipv4 in network for network in reserved)
        held[container] = given
        assert addressing.pools()[0].in_use == len(held)
