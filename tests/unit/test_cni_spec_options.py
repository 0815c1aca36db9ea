from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cni.spec.errors import InvalidConfigurationError
from cni.spec.fields import Dns
from cni.spec.options import IpamOptions, Options, parse_ipam_options, parse_options

GOOD = {"cniVersion": "1.0.0", "name": "podroute", "type": "podroute"}


def test_all_defaults() -> None:
    assert parse_options(GOOD) == Options()


def test_every_key_is_taken() -> None:
    options = parse_options(
        {
            **GOOD,
            "mtu": 9000,
            "reserved": ["10.244.1.0/28", "10.244.1.20", "10.244.1.30-10.244.1.33", "fd00::/124"],
            "queues": 4,
            "hostInterfacePrefix": "cal",
            "antiSpoofing": False,
            "dns": {"nameservers": ["10.96.0.10"], "search": ["svc"], "domain": "d"},
        }
    )
    assert options == Options(
        mtu=9000,
        reserved=tuple(
            map(
                ip_network,
                (
                    "10.244.1.0/28",
                    "10.244.1.20/32",
                    "10.244.1.30/31",
                    "10.244.1.32/31",
                    "fd00::/124",
                ),
            )
        ),
        queues=4,
        host_interface_prefix="cal",
        anti_spoofing=False,
        dns=Dns(nameservers=("10.96.0.10",), search=("svc",), domain="d"),
    )


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"mtu": "1500"}, {"mtu"}),
        ({"mtu": True}, {"mtu"}),
        ({"mtu": False}, {"mtu"}),
        ({"mtu": 1279}, {"mtu"}),
        ({"mtu": 65536}, {"mtu"}),
        ({"queues": -1}, {"queues"}),
        ({"queues": 257}, {"queues"}),
        ({"hostInterfacePrefix": "veth"}, {"hostInterfacePrefix"}),
        ({"hostInterfacePrefix": "P"}, {"hostInterfacePrefix"}),
        ({"hostInterfacePrefix": 7}, {"hostInterfacePrefix"}),
        ({"antiSpoofing": "yes"}, {"antiSpoofing"}),
        ({"reserved": "10.0.0.1"}, {"reserved"}),
        ({"reserved": ["10.0.0.1/24"]}, {"reserved[0]"}),
        ({"reserved": ["10.0.0.1", "x", "10.0.0.9-10.0.0.1"]}, {"reserved[1]", "reserved[2]"}),
        ({"reserved": ["10.0.0.1-fd00::1"]}, {"reserved[0]"}),
        ({"dns": []}, {"dns"}),
        ({"dns": {"nameservers": "1.1.1.1", "domain": 1}}, {"dns.nameservers", "dns.domain"}),
        ({"ipam": {"type": "host-local"}}, {"ipam.type"}),
        ({"ipam": {"type": "podroute-ipam"}}, {"ipam.type"}),
        ({"ipam": []}, {"ipam"}),
        ({"mtu": 1, "queues": 1000, "reserve": []}, {"mtu", "queues", "reserve"}),
    ],
)
def test_every_wrong_field_is_named(changes: dict[str, Any], paths: set[str]) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_options(GOOD | changes)
    assert set(caught.value.paths) == paths


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("MTU", "mtu"),
        ("reserve", "reserved"),
        ("queue", "queues"),
        ("hostInterfacePrefixes", "hostInterfacePrefix"),
        ("host_interface_prefix", "hostInterfacePrefix"),
        ("antispoofing", "antiSpoofing"),
        ("anti-spoofing", "antiSpoofing"),
    ],
)
def test_a_key_that_almost_is_ours_is_an_error_with_a_hint(key: str, meant: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=f"did you mean {meant}?"):
        parse_options(GOOD | {key: None})


def test_what_libcni_and_runtimes_add_is_no_error() -> None:
    raw: dict[str, Any] = {
        **GOOD,
        "futureField": {"a": 1},
        "ipMasq": True,
        "mtu": 0,
        "dns": None,
        "ipam": {},
        "prevResult": None,
        "capabilities": {"portMappings": True},
        "runtimeConfig": {"portMappings": []},
        "cni.dev/valid-attachments": [],
        "args": {},
        "disableGC": True,
    }
    assert parse_options(raw) == Options(unknown=("futureField", "ipMasq"))


def test_the_ipam_section_of_another_plugin() -> None:
    ipam = {
        "type": "podroute-ipam",
        "subnets": ["10.244.1.128/26"],
        "reserved": ["10.244.1.130"],
        "gateways": ["10.244.1.129"],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.0.0.0/8", "gw": "10.244.1.129"}],
    }
    assert parse_ipam_options({"type": "ptp", "ipam": ipam}) == IpamOptions(
        subnets=(ip_network("10.244.1.128/26"),),
        reserved=(ip_network("10.244.1.130/32"),),
        gateways=(ip_address("10.244.1.129"),),
        routes=(
            (ip_network("0.0.0.0/0"), None),
            (ip_network("10.0.0.0/8"), ip_address("10.244.1.129")),
        ),
    )
    assert parse_ipam_options({"ipam": {"type": "podroute-ipam"}}) == IpamOptions()


@pytest.mark.parametrize(
    ("ipam", "path"),
    [
        (None, "ipam.type"),
        ({"type": "host-local"}, "ipam.type"),
        ({"type": "podroute-ipam", "subnet": "10.0.0.0/24"}, "ipam.subnet"),
        ({"type": "podroute-ipam", "subnets": ["x"]}, "ipam.subnets[0]"),
        ({"type": "podroute-ipam", "gateways": ["10.0.0.0/24"]}, "ipam.gateways[0]"),
        ({"type": "podroute-ipam", "routes": {}}, "ipam.routes"),
        ({"type": "podroute-ipam", "routes": [{"gw": "10.0.0.1"}]}, "ipam.routes[0]"),
        ({"type": "podroute-ipam", "routes": [7]}, "ipam.routes[0]"),
    ],
)
def test_a_wrong_ipam_section_is_named(ipam: Any, path: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_ipam_options({"type": "ptp", "ipam": ipam})
    assert path in caught.value.paths
