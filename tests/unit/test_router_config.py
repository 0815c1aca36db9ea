"""The configuration file: what it means, and every way it can be wrong."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings

GOOD = """
node: node1
local_asn: 65201
node_addresses: [10.255.1.1, "fd00:255:1::1"]
pod_cidrs: [10.244.1.0/24, "fd00:244:1::/64"]
announce: {node_addresses: true}
cluster:
  pod_prefixes: [10.244.0.0/16, "fd00:244::/32"]
  node_prefixes: [10.255.0.0/16, "fd00:255::/32"]
import:
  also_accept: [{prefix: 198.51.100.0/24, le: 32}]
peers:
  - {name: tor1-v4, address: 10.0.1.2, remote_asn: 65101}
  - {name: tor1-v6, address: "fd00:0:1::2", remote_asn: 65101, hold_time_s: 30}
"""


def no_password(path: str) -> Secret:
    raise FileNotFoundError(2, "No such file or directory", path)


def load(text: str) -> AgentSettings:
    surroundings = Surroundings(host_name="host", read_password=no_password)
    return load_settings(text, source="config.yaml", surroundings=surroundings)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value).splitlines()


def test_a_good_file_becomes_settings() -> None:
    settings = load(GOOD)
    assert settings.node == "node1"
    assert settings.router_id == ip_address("10.255.1.1")
    assert settings.pod_cidrs == (Prefix.parse("10.244.1.0/24"), Prefix.parse("fd00:244:1::/64"))
    assert settings.graceful_restart_s == settings.deferral_s == 120
    assert [(p.name, p.hold_time_s, p.local_asn) for p in settings.peers] == [
        ("tor1-v4", 9, 65201),
        ("tor1-v6", 30, 65201),
    ]
    assert settings.mtu is None


def test_the_host_name_stands_in_for_the_node() -> None:
    assert load(GOOD.replace("node: node1\n", "")).node == "host"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            ("local_asn: 65201", "local_asn: 0"),
            "config.yaml: line 3: local_asn: AS number 0 is outside 1..4294967295",
            id="asn-0",
        ),
        pytest.param(
            ("local_asn: 65201\n", ""), "config.yaml: line 1: local_asn: is required", id="no-asn"
        ),
        pytest.param(
            ("10.244.1.0/24", "10.244.1.1/24"),
            "config.yaml: line 5: pod_cidrs[0]: 10.244.1.1/24 has host bits set",
            id="host-bits",
        ),
        pytest.param(
            ("10.244.1.0/24", "10.9.1.0/24"),
            "config.yaml: line 5: pod_cidrs: 10.9.1.0/24 lies outside cluster.pod_prefixes,"
            " so no other node would accept it",
            id="outside",
        ),
        pytest.param(
            ("hold_time_s: 30", "hold_time: 30"),
            "config.yaml: line 14: peers[1].hold_time: unknown key; did you mean 'hold_time_s'?"
            " (known: address, allow_own_asn, bfd, connect_retry_s, export_filter, families,"
            " gateway, hold_time_s, import_filter, interface, keepalive_s, local_address,"
            " local_asn, local_asn_label, max_prefixes, multihop_ttl, name, passive, password_file,"
            " password_secret, port, remote_asn, shutdown, shutdown_text, source_interface,"
            " ttl_security)",
            id="near-miss",
        ),
        pytest.param(
            ("address: 10.0.1.2", "address: 10.0.1.2/31"),
            "config.yaml: line 13: peers[0].address: '10.0.1.2/31' is not an IP address;"
            " an address here has no /length",
            id="address-with-length",
        ),
        pytest.param(
            ("tor1-v6", "tor1-v4"),
            "config.yaml: line 13: peers: peer 'tor1-v4': name: tor1-v4 is used by two peers",
            id="same-name",
        ),
        pytest.param(
            ("le: 32", "le: 8"),
            "config.yaml: line 11: import.also_accept[0]: 198.51.100.0/24:"
            " lengths 24 to 8 are not within 24 to 32",
            id="bounds",
        ),
        pytest.param(
            ("announce: {node_addresses: true}", "announce: {node_addresses: maybe}"),
            "config.yaml: line 6: announce.node_addresses: 'maybe' must be true or false",
            id="boolean",
        ),
        pytest.param(
            ("peers:\n", "peers: none\nx:\n"),
            "config.yaml: line 12: peers: must be a list",
            id="peers-no-list",
        ),
        pytest.param(
            ("node: node1", "node: node1\nnode: node2"),
            "config.yaml: line 3: node: given twice",
            id="twice",
        ),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(change: tuple[str, str], expected: str) -> None:
    assert change[0] in GOOD
    assert expected in problems(GOOD.replace(change[0], change[1], 1))


def test_all_errors_are_told_at_once() -> None:
    text = GOOD.replace("65201", "x").replace("10.0.1.2", "y").replace("le: 32", "le: 99")
    assert len(problems(text)) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "config.yaml: line 1: must be a mapping of keys to values"),
        ("a: [", "config.yaml: line 1: not YAML"),
        ("- 1", "config.yaml: line 1: must be a mapping of keys to values"),
        ("a: \x00", "not YAML"),
    ],
)
def test_no_document_at_all(text: str, expected: str) -> None:
    assert expected in "\n".join(problems(text))


def test_the_router_id_of_an_ipv6_only_node_is_a_hash_of_its_name() -> None:
    text = GOOD.replace('10.255.1.1, "fd00', '"fd00')
    found = load(text).router_id
    assert found == load(text).router_id
    assert found != load(text.replace("node: node1", "node: node2")).router_id
    assert load(text.replace("node: node1", "router_id: 192.0.2.1")).router_id == ip_address(
        "192.0.2.1"
    )


def test_who_may_order_a_drain() -> None:
    settings = load(
        GOOD + "drain: {annotation: false, shutdown: false, taints: ['a/b:NoExecute'], wait_s: 5}\n"
    )
    assert not settings.drain.annotation
    assert not settings.drain.shutdown
    assert settings.drain.taints == (("a/b", None, "NoExecute"),)
    assert (settings.drain.wait_s, settings.drain.prepend) == (5, 0)
