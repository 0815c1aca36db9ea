"""Objects make the same settings as a file; errors name kind, object and field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.file import LastGood
from router.config.load import load_settings
from router.config.objects import load_objects
from router.config.origin import Origin, TwoDoorsError, choose, parse, render
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.config_object import ADVERTISEMENT, NETWORK, PEER, ConfigObject
from router.model.node import NodeView, SecretRef

NODE = NodeView(
    name="node1",
    uid="u",
    pod_cidrs=(Prefix.parse("10.244.1.0/24"),),
    labels={"rack": "r1", "asn": "65201", "tor-asn": "65299"},
)
AROUND = Surroundings(
    host_name="h",
    read_password=lambda _: Secret("file"),
    read_secret=lambda ref: Secret(f"{ref}"),
    node=NODE,
)
SPEC: dict[str, Any] = {
    "local_asn_label": "asn",
    "cluster": {"pod_prefixes": ["10.244.0.0/16"], "node_prefixes": ["10.255.0.0/16"]},
    "import": {"filters": {"f": [{"action": "reject", "match": {"origin_asn": 65300}}]}},
}
PEERS: dict[str, dict[str, Any]] = {
    "tor1": {"address": "10.0.1.2", "remote_asn": 65101, "hold_time_s": 30, "bfd": {}},
    "tor2": {
        "address": "10.0.2.2",
        "remote_asn": "external",
        "password_secret": {"name": "bgp", "key": "tor2"},
        "import_filter": "f",
        "ttl_security": True,
    },
}


def made(kind: str, name: str, /, **spec: Any) -> ConfigObject:
    return ConfigObject(kind=kind, name=name, spec=spec)


def network(**changes: Any) -> ConfigObject:
    return made(NETWORK, "default", **{**SPEC, **changes})


def peers(**changes: Any) -> tuple[ConfigObject, ...]:
    return tuple(made(PEER, name, **spec) for name, spec in {**PEERS, **changes}.items())


def settings(*objects: ConfigObject, around: Surroundings = AROUND) -> AgentSettings:
    found = load_objects(objects, around)
    assert found is not None
    return found


def wrong(*objects: ConfigObject) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_objects(objects, AROUND)
    return str(caught.value).split("\n")


def test_objects_and_a_file_make_the_same_settings() -> None:
    text = """
local_asn_label: asn
cluster: {pod_prefixes: [10.244.0.0/16], node_prefixes: [10.255.0.0/16]}
import: {filters: {f: [{action: reject, match: {origin_asn: 65300}}]}}
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101, hold_time_s: 30, bfd: {}}
  - {name: tor2, address: 10.0.2.2, remote_asn: external, import_filter: f, ttl_security: true,
     password_secret: {name: bgp, key: tor2}}
advertisements:
  - {name: pods, pod_cidrs: true, communities: ["65201:1"]}
"""
    pods = made(ADVERTISEMENT, "pods", pod_cidrs=True, communities=["65201:1"])
    from_file = load_settings(text, source="file", surroundings=AROUND)
    assert settings(network(), *peers(), pods) == from_file
    assert from_file.peers[1].password == Secret(str(SecretRef("bgp", "tor2")))


def test_the_order_in_which_objects_come_does_not_matter() -> None:
    objects = [network(), *peers()]
    assert settings(*objects) == settings(*reversed(objects))


def test_a_peer_is_called_by_its_object_or_as_it_says() -> None:
    other = made(PEER, "tor3", address="10.0.3.2", remote_asn=1, name="left")
    assert [p.name for p in settings(network(), *peers(), other).peers] == ["tor1", "tor2", "left"]
    gateways = made(PEER, "gw", gateway="all", remote_asn=65101)
    around = replace(AROUND, gateways=(Prefix.parse("10.0.9.1/32").to_network()[0],))
    (peer,) = settings(network(), gateways, around=around).peers
    assert peer.name == "gw-10.0.9.1"


def test_only_objects_that_select_the_node_are_for_it() -> None:
    here = {"matchLabels": {"rack": "r1"}}
    there = {"matchExpressions": [{"key": "rack", "operator": "NotIn", "values": ["r1"]}]}
    found = settings(
        network(select=here),
        made(NETWORK, "other", select=there, local_asn="nonsense"),
        made(PEER, "tor1", select=here, **PEERS["tor1"]),
        # What is wrong with another node's object is told there.
        made(PEER, "far", select=there, address="nonsense", remote_asn=0),
    )
    assert [peer.name for peer in found.peers] == ["tor1"]


def test_without_a_pod_network_there_is_nothing() -> None:
    assert load_objects(peers(), AROUND) is None
    assert load_objects((), AROUND) is None


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            (network(), *peers(tor1={"address": "10.0.1.2", "remote_asn": 1, "hold_time_s": 2})),
            ["BGPPeer tor1: spec.hold_time_s: '2' must be a whole number from 3 to 65535"],
            id="bounds",
        ),
        pytest.param(
            (network(), *peers(tor1={"remote_asn": 1})),
            ["BGPPeer tor1: spec.address: is required"],
            id="missing",
        ),
        pytest.param(
            (network(), *peers(tor1={"address": "10.0.1.2", "remote_asn": 1, "hold_time": 9})),
            ["BGPPeer tor1: spec.hold_time: unknown key; did you mean 'hold_time_s'?"],
            id="near miss",
        ),
        pytest.param(
            (
                network(),
                *peers(tor1={"address": "10.0.1.2", "remote_asn": 1, "import_filter": "g"}),
            ),
            ["BGPPeer tor1: spec.import_filter: no filter 'g' under import.filters (known: f)"],
            id="no such filter",
        ),
        pytest.param(
            (network(), *peers(tor1={**PEERS["tor1"], "password_file": "/etc/shadow"})),
            ["BGPPeer tor1: spec.password_file: is not for a BGPPeer"],
            id="a file of the node",
        ),
        pytest.param(
            (network(cluster={"pod_prefixes": ["10.244.0.1/16"]}),),
            ["PodNetwork default: spec.cluster.pod_prefixes[0]: 10.244.0.1/16 has host bits set"],
            id="PodNetwork",
        ),
        pytest.param(
            (network(peers=[], node="x"),),
            [
                "PodNetwork default: spec.node: is not for a PodNetwork",
                "PodNetwork default: spec.peers: is not for a PodNetwork",
            ],
            id="another object's",
        ),
        pytest.param(
            (network(), *peers(again={"address": "10.0.1.2", "remote_asn": 1})),
            [
                "BGPPeer objects: peer 'tor1': address: 10.0.1.2 is used by two peers; the other is"
                " again"
            ],
            id="two peers with one address",
        ),
        pytest.param(
            (network(), made(NETWORK, "second", local_asn=1)),
            [
                "PodNetwork second: spec.select: PodNetwork default selects this node, too:"
                " a node has one"
            ],
            id="two PodNetworks",
        ),
        pytest.param(
            (network(), made(PEER, "x", select={"matchLabels": {"-": "x"}}, **PEERS["tor1"])),
            [
                "BGPPeer x: spec.select.matchLabels.-: '-' is not the key of a label, such as"
                " example.com/rack"
            ],
            id="selector",
        ),
        pytest.param(
            (network(), made(ADVERTISEMENT, "a", pod_cidrs=True, prepend=99)),
            ["BGPAdvertisement a: spec.prepend: '99' must be a whole number from 1 to 16"],
            id="advertisement",
        ),
        pytest.param(
            (network(), made(ADVERTISEMENT, "a", communities=["1:1"])),
            [
                "BGPAdvertisement a: spec: announces nothing: give pod_cidrs, node_addresses,"
                " services or prefixes"
            ],
            id="nothing",
        ),
        pytest.param(
            (
                network(),
                made(PEER, "x", **{**PEERS["tor1"], "bfd": {"interval_ms": "x\x00\u2028"}}),
            ),
            ["BGPPeer x: spec.bfd.interval_ms: "],
            id="odd characters",
        ),
    ],
)
def test_what_is_wrong_is_named_with_object_and_field(
    objects: tuple[ConfigObject, ...], expected: list[str]
) -> None:
    found = wrong(*objects)
    assert len(found) == len(expected), found
    for line, begin in zip(found, expected, strict=True):
        assert line.startswith(begin)


def test_several_errors_are_told_at_once() -> None:
    found = wrong(
        network(mtu=3),
        *peers(tor1={"address": "x", "remote_asn": 1}, tor2={"address": "y", "remote_asn": 0}),
    )
    assert [line.split(":")[0] for line in found] == [
        *("BGPPeer tor1", "BGPPeer tor2", "BGPPeer tor2", "PodNetwork default")
    ]


def test_what_is_nested_without_end_is_an_error_and_no_crash() -> None:
    spec: dict[str, Any] = {}
    at = spec
    for _ in range(3000):
        at["bfd"] = {}
        at = at["bfd"]
    assert wrong(network(), made(PEER, "x", address="10.0.0.1", remote_asn=1, **spec))


def test_our_as_toward_a_peer_may_come_from_a_label() -> None:
    labelled = {"address": "10.0.1.2", "remote_asn": 65101, "local_asn_label": "tor-asn"}
    assert settings(network(), made(PEER, "a", **labelled)).peers[0].local_asn == 65299
    with_number = {**labelled, "local_asn_label": "none", "local_asn": 65300}
    assert settings(network(), made(PEER, "a", **with_number)).peers[0].local_asn == 65300
    without = {**labelled, "local_asn_label": "none"}
    assert wrong(network(), made(PEER, "a", **without)) == [
        "BGPPeer a: spec.local_asn_label: the node has no label none, and no local_asn is given"
    ]


# --- two doors -----------------------------------------------------------------------------------


def test_a_document_and_objects_at_once_are_an_error_that_names_both() -> None:
    document = Origin(name="ConfigMap podroute", text="local_asn: 1\n")
    with pytest.raises(TwoDoorsError) as caught:
        choose(document, (network(), *peers()), NODE.labels)
    assert "ConfigMap podroute and PodNetwork default, BGPPeer tor1, BGPPeer tor2 both" in str(
        caught.value
    )
    # Objects for other nodes are no reason.
    elsewhere = network(select={"matchLabels": {"rack": "r2"}})
    assert choose(document, (elsewhere,), NODE.labels) == document
    assert choose(document, (), NODE.labels) == document
    assert choose(None, (), NODE.labels) is None


def test_the_last_good_configuration_survives(tmp_path: Path) -> None:
    path = tmp_path / "state" / "configuration.json"
    objects = Origin(name="objects", objects=(network(), *peers()))
    LastGood(path).save(objects)
    assert LastGood(path).load() == objects
    document = Origin(name="ConfigMap podroute", text="local_asn: 1\n")
    LastGood(path).save(document)
    assert LastGood(path).load() == document
    assert LastGood(tmp_path / "none").load() is None
    assert LastGood(None).load() is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 2, "name": "x", "text": null, "objects": []}',
        b'{"version": 1, "name": 1, "text": null, "objects": []}',
        b'{"version": 1, "name": "x", "text": null, "objects": [["Pod", "x", {}]]}',
        b'{"version": 1, "name": "x", "text": null, "objects": [["BGPPeer", "x"]]}',
    ],
)
def test_a_damaged_memory_is_as_good_as_none(raw: bytes) -> None:
    assert parse(raw) is None
    assert parse(render(Origin(name="x", text="y"))) == Origin(name="x", text="y")
