from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from cni.spec.errors import InvalidConfigurationError, UnsupportedFieldError
from cni.spec.fields import Dns
from cni.spec.requested import Requested, parse_requested

RUNTIME = {"ips": ["10.244.1.5/24", "fd00::5"], "mac": "02:00:00:00:00:05"}
CONVENTIONAL = {"ips": ["10.244.1.6"], "mac": "02-00-00-00-00-06"}
ARGUMENTS = {"IP": "10.244.1.7,fd00::7/64", "MAC": "02:00:00:00:00:07", "IgnoreUnknown": "1"}


def test_a_pod_may_ask_for_nothing() -> None:
    assert parse_requested({}, {}) == Requested()
    assert parse_requested({"runtimeConfig": None, "args": {"cni": {}}}, {"IP": ""}) == Requested()


@pytest.mark.parametrize(
    ("raw", "arguments", "addresses", "last_of_mac"),
    [
        pytest.param(
            {"runtimeConfig": RUNTIME, "args": {"cni": CONVENTIONAL}},
            ARGUMENTS,
            ("10.244.1.5", "fd00::5"),
            5,
            id="runtimeConfig first",
        ),
        pytest.param(
            {"args": {"cni": CONVENTIONAL}}, ARGUMENTS, ("10.244.1.6",), 6, id="then args"
        ),
        pytest.param({}, ARGUMENTS, ("10.244.1.7", "fd00::7"), 7, id="then CNI_ARGS"),
        pytest.param(
            {"runtimeConfig": {"mac": RUNTIME["mac"], "ips": []}},
            ARGUMENTS,
            ("10.244.1.7", "fd00::7"),
            5,
            id="addresses and MAC from different sources",
        ),
    ],
)
def test_the_first_source_is_the_only_one_heard(
    raw: dict[str, Any], arguments: dict[str, str], addresses: tuple[str, ...], last_of_mac: int
) -> None:
    requested = parse_requested(raw, arguments)
    assert requested.each() == tuple(map(ip_address, addresses))
    assert requested.mac == bytes((2, 0, 0, 0, 0, last_of_mac))


@pytest.mark.parametrize(
    ("raw", "arguments", "paths"),
    [
        ({"runtimeConfig": []}, {}, {"runtimeConfig"}),
        ({"runtimeConfig": {"ips": "10.0.0.1"}}, {}, {"runtimeConfig.ips"}),
        ({"runtimeConfig": {"ips": ["10.0.0.1", "10.0.0.2"]}}, {}, {"runtimeConfig.ips"}),
        ({"args": {"cni": {"ips": ["x"]}}}, {}, {"args.cni.ips"}),
        ({"args": {"cni": 7}}, {}, {"args.cni"}),
        ({}, {"IP": "10.0.0.1,", "MAC": "x"}, {"CNI_ARGS MAC"}),
        ({}, {"IP": "10.0.0"}, {"CNI_ARGS IP"}),
        ({"runtimeConfig": {"mac": "01:00:00:00:00:00"}}, {}, {"runtimeConfig.mac"}),
        ({"runtimeConfig": {"mac": "00:00:00:00:00:00"}}, {}, {"runtimeConfig.mac"}),
        ({"runtimeConfig": {"mac": "02:00:00:00:00"}}, {}, {"runtimeConfig.mac"}),
        ({"runtimeConfig": {"mac": 5}}, {}, {"runtimeConfig.mac"}),
        ({"runtimeConfig": {"dns": {"servers": 1}}}, {}, {"runtimeConfig.dns.servers"}),
    ],
)
def test_every_wrong_wish_is_named(
    raw: dict[str, Any], arguments: dict[str, str], paths: set[str]
) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_requested(raw, arguments)
    assert set(caught.value.paths) == paths


def test_the_resolver_comes_in_the_specification_s_keys_and_in_containerd_s() -> None:
    for keys in (("servers", "searches", "options"), ("Servers", "Searches", "Options")):
        values = (["10.96.0.10"], ["svc.local"], ["ndots:5"])
        dns = dict(zip(keys, values, strict=True))
        assert parse_requested({"runtimeConfig": {"dns": dns}}, {}).dns == Dns(
            nameservers=("10.96.0.10",), search=("svc.local",), options=("ndots:5",)
        )


@pytest.mark.parametrize(
    "runtime",
    [
        {"portMappings": [{"hostPort": 80, "containerPort": 80}]},
        {"PortMappings": [{"HostPort": 80, "ContainerPort": 80, "Protocol": "tcp"}]},
        {"bandwidth": {"ingressRate": 1000}},
        {"ipRanges": [[{"subnet": "10.0.0.0/24"}]]},
    ],
)
def test_another_plugin_s_capability_is_code_2_and_told(runtime: dict[str, Any]) -> None:
    (key,) = runtime
    with pytest.raises(UnsupportedFieldError, match=f"(?i)runtimeConfig.{key} is ") as caught:
        parse_requested({"runtimeConfig": runtime}, {})
    assert caught.value.code == 2
    # For podroute-ipam the configuration is that of the plugin which carries them out.
    assert parse_requested({"runtimeConfig": runtime}, {}, delegated=True) == Requested()


def test_a_capability_without_content_is_none() -> None:
    runtime = {"portMappings": [], "bandwidth": {"IngressRate": 0}, "ipRanges": None, "aliases": []}
    assert parse_requested({"runtimeConfig": runtime}, {}) == Requested()
