"""Names of peers in filters and advertisements: a name that no peer has is an error."""

from __future__ import annotations

from typing import Any

import pytest

from bgp.nlri import Prefix
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.origin import Origin, choose, parse, render
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from router.model.config_object import ADVERTISEMENT, NETWORK, PEER, ConfigObject
from router.model.node import NodeView

TOP = """
node: node1
router_id: 10.255.1.1
local_asn: 65201
pod_cidrs: [10.244.1.0/24]
cluster: {pod_prefixes: [10.244.0.0/16]}
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101}
  - {name: tor2, address: 10.0.2.2, remote_asn: 65102}
"""
KINDS_OF_PEERS = """
  - {gateway: all, remote_asn: 65101}
  - {gateway: all, name: gw, remote_asn: 65101}
  - {address: "2001:DB8::1", remote_asn: 65102}
  - {interface: eth7, remote_asn: 65102}
nodes:
  - select: {matchLabels: {kubernetes.io/hostname: other}}
    peers: [{name: far, address: 10.0.9.2, remote_asn: 65109}]
"""


def load(text: str) -> AgentSettings:
    around = Surroundings(host_name="h", read_password=lambda _: Secret("x"))
    return load_settings(text, source="c.yaml", surroundings=around)


def wrong(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return str(caught.value)


# --- a document ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "import: {filters: {f: [{action: reject, match: {peers: [tor1, tro2]}}]}}",
            "import.filters.f[0].match.peers[1]: no peer 'tro2'; did you mean 'tor2'?",
        ),
        (
            "export: {filters: {f: [{action: reject, match: {peers: none}}]}}",
            "export.filters.f[0].match.peers: no peer 'none'",
        ),
        (
            "advertisements: [{pod_cidrs: true, peers: [tor1, x]}]",
            "advertisements[0].peers[1]: no peer 'x'",
        ),
    ],
)
def test_a_name_that_no_peer_has_is_an_error(text: str, wanted: str) -> None:
    assert wrong(TOP + text) == f"c.yaml: line 10: {wanted} (known: tor1, tor2)"


def named(name: str) -> str:
    filters = f'{{f: [{{action: reject, match: {{peers: ["{name}"]}}}}]}}'
    return f"{TOP.rstrip()}{KINDS_OF_PEERS}export: {{filters: {filters}}}"


@pytest.mark.parametrize(
    "name", ["2001:db8::1", "eth7", "far", "gateway-10.0.1.2", "gw-fd00::1", "gw-10.0.1.2"]
)
def test_peers_of_every_kind_have_names_also_those_of_other_nodes(name: str) -> None:
    load(named(name))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gw", "gw is a peer for each default gateway: name one, as gw-ADDRESS"),
        ("gw-10.0.1", "no peer 'gw-10.0.1' (known: 2001:db8::1, eth7, far, gateway-ADDRESS, gw-A"),
        ("2001:DB8::1", "no peer '2001:DB8::1'"),
        ("eth8", "no peer 'eth8'; did you mean 'eth7'?"),
    ],
)
def test_other_spellings_are_errors(name: str, why: str) -> None:
    assert f"export.filters.f[0].match.peers[0]: {why}" in wrong(named(name))


def test_of_many_names_a_dozen_is_shown() -> None:
    more = "".join(
        f"  - {{name: x{n:02}, address: 10.7.{n}.1, remote_asn: 65102}}\n" for n in range(30)
    )
    found = wrong(f"{TOP}{more}advertisements: [{{pod_cidrs: true, peers: [nobody]}}]")
    assert found.endswith("x09 and 20 more)")


def test_a_peer_that_is_wrong_itself_is_told_once() -> None:
    text = TOP.replace("remote_asn: 65102", "remote_asn: x")
    found = wrong(f"{text}advertisements: [{{pod_cidrs: true, peers: [tor2]}}]")
    assert found.startswith("c.yaml: line 9: peers[1].remote_asn: ")
    assert "\n" not in found


def test_advertisements_that_are_all_for_peers_of_other_nodes_are_told() -> None:
    others = f"{TOP}nodes:{KINDS_OF_PEERS.partition('nodes:')[2]}"
    others += "advertisements:\n  - {pod_cidrs: true, peers: [far]}\n"
    assert load(others).notes == (
        "no advertisement is for a peer of this node (tor1, tor2): nothing is announced",
    )
    assert not load(f"{others}  - {{prefixes: [10.9.0.0/16], peers: [tor2]}}\n").notes
    assert not load(TOP).notes


# --- objects -------------------------------------------------------------------------------------

NODE = NodeView(
    name="node1", uid="u", pod_cidrs=(Prefix.parse("10.244.1.0/24"),), labels={"rack": "r1"}
)
AROUND = Surroundings(host_name="h", read_password=lambda _: Secret("file"), node=NODE)
ELSEWHERE = {"select": {"matchLabels": {"rack": "r2"}}, "remote_asn": 65109}


def made(kind: str, name: str, /, **spec: Any) -> ConfigObject:
    return ConfigObject(kind=kind, name=name, spec=spec)


def network(**more: Any) -> ConfigObject:
    pods = {"pod_prefixes": ["10.244.0.0/16"]}
    return made(NETWORK, "default", local_asn=65201, cluster=pods, **more)


OBJECTS = (
    made(PEER, "tor1", address="10.0.1.2", remote_asn=65101),
    made(PEER, "far", address="10.0.9.2", **ELSEWHERE),
    made(PEER, "gw", gateway="all", **ELSEWHERE),
)


def chosen(*objects: ConfigObject) -> Origin:
    origin = choose(None, objects, NODE.labels)
    assert origin is not None
    return origin


def test_a_name_that_no_bgppeer_has_is_an_error() -> None:
    typo = made(ADVERTISEMENT, "pods", pod_cidrs=True, peers=["tro1"])
    filters = {"filters": {"f": [{"action": "reject", "match": {"peers": ["tor9"]}}]}}
    with pytest.raises(ConfigError) as caught:
        chosen(network(**{"import": filters}), *OBJECTS, typo).load(AROUND)
    hint = "did you mean 'tor1'? (known: far, gw-ADDRESS, tor1)"
    assert str(caught.value).split("\n") == [
        f"BGPAdvertisement pods: spec.peers[0]: no peer 'tro1'; {hint}",
        f"PodNetwork default: spec.import.filters.f[0].match.peers[0]: no peer 'tor9'; {hint}",
    ]


def test_a_bgppeer_of_other_nodes_may_be_named() -> None:
    pods = made(ADVERTISEMENT, "pods", pod_cidrs=True, peers=["far", "tor1", "gw-10.0.9.1"])
    found = chosen(network(), *OBJECTS, pods).load(AROUND)
    assert found is not None
    assert [peer.name for peer in found.peers] == ["tor1"]
    assert not found.notes


def test_what_was_in_force_is_not_judged_anew() -> None:
    pods = made(ADVERTISEMENT, "pods", pod_cidrs=True, peers=["far", "tor1"])
    origin = chosen(network(), *OBJECTS, pods)
    # Written by an agent that did not look, or without what other nodes have.
    remembered = parse(render(origin))
    assert remembered is not None
    assert remembered.load(AROUND) == origin.load(AROUND)
    with pytest.raises(ConfigError, match="no peer 'far'"):
        chosen(network(), OBJECTS[0], pods).load(AROUND)
