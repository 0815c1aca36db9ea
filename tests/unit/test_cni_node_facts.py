from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from cni.node_facts import MalformedNodeFactsError, NodeFacts, parse, render

FACTS = NodeFacts(
    generation=3,
    node="node1",
    pod_cidrs=(ip_network("10.244.1.0/24"), ip_network("fd00:244:1::/64")),
    node_addresses=(ip_address("10.255.1.1"), ip_address("fd00:255:1::1")),
    mtu=1500,
    ready=True,
    reason="",
)


def test_what_the_agent_writes_the_server_reads() -> None:
    assert parse(render(FACTS)) == FACTS


def test_a_newer_agent_may_write_more() -> None:
    body = json.loads(render(FACTS)) | {"future": 1}
    assert parse(json.dumps(body).encode()) == FACTS


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version": 2}, "version"),
        ({"generation": "3"}, "generation"),
        ({"generation": True}, "generation"),
        ({"node": None}, "node"),
        ({"pod_cidrs": "10.0.0.0/8"}, "pod_cidrs"),
        ({"pod_cidrs": ["10.244.1.0/24", "10.244.1.1/24"]}, "pod_cidrs[1]"),
        ({"node_addresses": [7]}, "node_addresses[0]"),
        ({"mtu": 1500.0}, "mtu"),
        ({"mtu": -1}, "mtu"),
        ({"mtu": 65536}, "mtu"),
        ({"ready": 1}, "ready"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    body = json.loads(render(FACTS)) | changes
    with pytest.raises(
        MalformedNodeFactsError, match=f"^{field.replace('[', '.').replace(']', '.')}"
    ):
        parse(json.dumps(body).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_object_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedNodeFactsError):
        parse(content)
