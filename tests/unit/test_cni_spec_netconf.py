from __future__ import annotations

import json
from typing import Any

import pytest

from cni.spec.errors import DecodeError, IncompatibleVersionError, InvalidConfigurationError
from cni.spec.netconf import decode, parse_configuration
from cni.spec.version import SUPPORTED, SpecVersion, version_result

GOOD = {"cniVersion": "1.0.0", "name": "podroute", "type": "podroute"}


@pytest.mark.parametrize(
    "stdin",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="truncated"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"name":"\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b'{"mtu":' + b"9" * 10_000 + b"}", id="number too long"),
    ],
)
def test_what_is_no_json_object_is_code_6(stdin: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(stdin)
    assert caught.value.code == 6


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_version_of_ours_is_taken(version: SpecVersion) -> None:
    assert parse_configuration({**GOOD, "cniVersion": version}).version is version


@pytest.mark.parametrize("version", [None, "", "0.1.0", "0.3.0", "1.0", "2.0.0", 1, "1.0.0 "])
def test_every_other_version_is_code_1_and_names_ours(version: object) -> None:
    with pytest.raises(IncompatibleVersionError) as caught:
        parse_configuration({**GOOD, "cniVersion": version})
    assert caught.value.code == 1
    assert all(ours in str(caught.value) for ours in SUPPORTED)


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({"name": None}, {"name"}),
        ({"name": ""}, {"name"}),
        ({"name": 7}, {"name"}),
        ({"name": "a/b"}, {"name"}),
        ({"name": "a\n"}, {"name"}),
        ({"prevResult": "x"}, {"prevResult"}),
        ({"cni.dev/valid-attachments": {}}, {"cni.dev/valid-attachments"}),
        ({"cni.dev/valid-attachments": [{}]}, {"cni.dev/valid-attachments[0]"}),
        ({"name": None, "prevResult": 1}, {"name", "prevResult"}),
    ],
)
def test_every_wrong_field_is_named(changes: dict[str, object], paths: set[str]) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        parse_configuration(GOOD | changes)
    assert set(caught.value.paths) == paths
    assert caught.value.code == 7


def test_what_only_an_add_needs_keeps_no_other_command_from_its_work() -> None:
    raw: dict[str, Any] = {**GOOD, "mtu": "x", "dns": [], "ipam": 7, "runtimeConfig": 1}
    assert parse_configuration(raw | {"prevResult": None}).name == "podroute"


def test_known_fields_are_taken() -> None:
    configuration = parse_configuration(
        {
            **GOOD,
            "cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}],
            "cni.dev/attachments": [{"containerID": "b", "ifname": "eth0"}],
        }
    )
    assert configuration.valid_attachments == {("a", "eth0"), ("b", "eth0")}


def test_no_list_of_attachments_is_not_an_empty_one() -> None:
    assert parse_configuration(GOOD).valid_attachments is None
    assert parse_configuration({**GOOD, "cni.dev/attachments": []}).valid_attachments == frozenset()


def test_version_names_the_request_s_version_and_all_of_ours() -> None:
    body = json.loads(version_result("0.4.0"))
    assert body == {"cniVersion": "0.4.0", "supportedVersions": list(SUPPORTED)}
