from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cni.spec.errors import (
    AttachmentExistsError,
    InvalidConfigurationError,
    TryAgainLaterError,
    render_error,
)
from cni.spec.fields import Dns
from cni.spec.result import (
    Interface,
    IpConfiguration,
    Result,
    Route,
    previous_addresses,
    render_result,
)
from cni.spec.version import SUPPORTED, SpecVersion

RESULT = Result(
    interfaces=(
        Interface(name="podabc", mac="ee:ee:ee:ee:ee:ee", mtu=1500),
        Interface(name="eth0", mac="02:00:00:00:00:01", mtu=1500, sandbox="/run/netns/a"),
    ),
    ips=(
        IpConfiguration(
            address=ip_address("10.244.1.5"),
            prefix_length=32,
            gateway=ip_address("169.254.1.1"),
            interface=1,
        ),
        IpConfiguration(
            address=ip_address("fd00::5"),
            prefix_length=128,
            gateway=ip_address("fe80::1"),
            interface=1,
        ),
    ),
    routes=(
        Route(destination=ip_network("0.0.0.0/0"), gateway=ip_address("169.254.1.1")),
        Route(destination=ip_network("::/0"), gateway=ip_address("fe80::1")),
    ),
    dns=Dns(nameservers=("10.96.0.10",)),
)


def rendered(version: SpecVersion) -> Any:
    return json.loads(render_result(RESULT, version))


@pytest.mark.parametrize("version", SUPPORTED)
def test_what_all_versions_have_in_common(version: SpecVersion) -> None:
    body = rendered(version)
    assert body["cniVersion"] == version
    assert [interface["name"] for interface in body["interfaces"]] == ["podabc", "eth0"]
    assert "sandbox" not in body["interfaces"][0]
    assert body["interfaces"][1]["sandbox"] == "/run/netns/a"
    assert [ip["address"] for ip in body["ips"]] == ["10.244.1.5/32", "fd00::5/128"]
    assert [ip["interface"] for ip in body["ips"]] == [1, 1]
    assert body["routes"][1] == {"dst": "::/0", "gw": "fe80::1"}
    assert body["dns"] == {"nameservers": ["10.96.0.10"]}


@pytest.mark.parametrize("version", SUPPORTED)
def test_ips_carry_their_version_up_to_0_4_0(version: SpecVersion) -> None:
    versions = [ip.get("version") for ip in rendered(version)["ips"]]
    old = version in ("0.3.1", "0.4.0")
    assert versions == (["4", "6"] if old else [None, None])


@pytest.mark.parametrize("version", SUPPORTED)
def test_interfaces_carry_their_mtu_since_1_1_0(version: SpecVersion) -> None:
    mtus = [interface.get("mtu") for interface in rendered(version)["interfaces"]]
    assert mtus == ([1500, 1500] if version == "1.1.0" else [None, None])


@pytest.mark.parametrize("version", SUPPORTED)
def test_check_reads_its_own_result(version: SpecVersion) -> None:
    previous = previous_addresses(rendered(version), "eth0")
    assert previous.addresses == {ip_address("10.244.1.5"), ip_address("fd00::5")}
    assert previous.mac == "02:00:00:00:00:01"


def test_addresses_of_other_interfaces_are_not_ours() -> None:
    body = rendered(SpecVersion.V1_0_0)
    body["ips"].append({"address": "192.0.2.1/24", "interface": 0})
    assert ip_address("192.0.2.1") not in previous_addresses(body, "eth0").addresses


@pytest.mark.parametrize(
    "previous",
    [
        {"ips": {"a": 1}},
        {"ips": [1]},
        {"ips": [{"address": "x"}]},
        {"interfaces": [None]},
        {"ips": [{}]},
    ],
)
def test_what_is_no_result_is_code_7(previous: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigurationError):
        previous_addresses(previous, "eth0")


def test_an_error_object_has_code_text_and_the_request_s_version() -> None:
    body = json.loads(render_error(TryAgainLaterError("no facts"), "0.4.0"))
    assert body == {
        "cniVersion": "0.4.0",
        "code": 11,
        "msg": "try again later: no facts",
        "details": "no facts",
    }
    assert json.loads(render_error(AttachmentExistsError(), "1.0.0"))["code"] == 100


def test_an_unknown_exception_shows_its_name_only() -> None:
    body = json.loads(render_error(RuntimeError("a secret"), "1.0.0"))
    assert (body["code"], body["msg"], body["details"]) == (999, "internal error", "RuntimeError")
