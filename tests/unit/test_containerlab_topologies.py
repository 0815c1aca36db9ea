"""Every fabric folder: a file both containerlab and the runner take, and files that agree."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bgp.secret import Secret
from containerlab.netlab import schema
from containerlab.netlab.__main__ import fabrics
from containerlab.netlab.parse import parse_topology
from containerlab.netlab.topology import NodeSpec, Topology
from router.config.load import load_settings
from router.config.surroundings import Surroundings

FABRICS = fabrics()
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def load(name: str) -> Topology:
    return parse_topology(FABRICS[name].read_text(), FABRICS[name], {})


@pytest.mark.parametrize("name", FABRICS)
def test_the_runner_takes_it_and_its_binds_exist(name: str) -> None:
    for node in load(name).nodes:
        for bind in node.binds:
            assert bind.source.is_file(), (node.name, bind)


@pytest.mark.parametrize("name", FABRICS)
def test_it_uses_only_keys_of_containerlabs_schema(name: str) -> None:
    document = yaml.safe_load(re.sub(r"\$\{\w+:=([^}]*)\}", r"\1", FABRICS[name].read_text()))
    assert document.keys() <= schema.TOP_KNOWN
    body = document["topology"]
    assert body.keys() <= schema.TOPOLOGY_APPLIED
    levels = [body.get("defaults", {}), *body["nodes"].values()]
    levels += [*body.get("kinds", {}).values(), *body.get("groups", {}).values()]
    for level in levels:
        assert level.keys() <= schema.NODE_KNOWN
    for link in body["links"]:
        assert link.keys() <= schema.LINK_KNOWN


@pytest.mark.parametrize("name", FABRICS)
def test_every_link_says_its_mtu(name: str) -> None:
    for link in yaml.safe_load(FABRICS[name].read_text().replace("$", ""))["topology"]["links"]:
        assert "mtu" in link


def addresses(node: NodeSpec) -> Iterator[tuple[str, Interface]]:
    """(interface, address) from frr.conf or from the `ip addr add` of exec."""
    for command in node.exec:
        if command[:3] == ("ip", "addr", "add"):
            yield command[5], ipaddress.ip_interface(command[3])
    for bind in node.binds:
        if bind.source.name == "frr.conf":
            text = bind.source.read_text()
            for block in re.finditer(r"^interface (\S+)\n((?: .*\n)*)", text, re.MULTILINE):
                for found in re.findall(r" ip(?:v6)? address (\S+)", block[2]):
                    yield block[1], ipaddress.ip_interface(found)


def owners(topology: Topology) -> dict[str, str]:
    """Address -> name of the node that has it."""
    return {str(a.ip): node.name for node in topology.nodes for _, a in addresses(node)}


NEIGHBOR = re.compile(r"^\s*(?:protocol .*\{ )?neighbor ([0-9a-f.:]+) (?:remote-as|as) (\d+)", re.M)


def expected_asns(node: NodeSpec) -> dict[str, int]:
    """Neighbor address -> ASN, as the routing daemon's configuration of *node* says."""
    texts = [bind.source.read_text() for bind in node.binds if bind.source.suffix == ".conf"]
    return {address: int(asn) for text in texts for address, asn in NEIGHBOR.findall(text)}


@pytest.mark.parametrize("name", FABRICS)
def test_both_ends_of_each_numbered_link_share_a_subnet_per_family(name: str) -> None:
    topology = load(name)
    per_end: dict[tuple[str, str], list[Interface]] = {}
    for node in topology.nodes:
        for interface, address in addresses(node):
            per_end.setdefault((node.name, interface), []).append(address)
    for link in topology.links:
        a = per_end.get((link.a.node, link.a.interface), [])
        b = per_end.get((link.b.node, link.b.interface), [])
        a, b = ([x for x in end if not x.ip.is_link_local] for end in (a, b))
        if a and b:
            assert {x.version for x in a} == {4, 6}
            assert {x.network for x in a} == {x.network for x in b}, link


@pytest.mark.parametrize("name", FABRICS)
def test_no_address_is_used_twice(name: str) -> None:
    # Link-local addresses belong to their link; every link may have the same ones.
    used = [
        address.ip
        for node in load(name).nodes
        for _, address in addresses(node)
        if not address.ip.is_link_local
    ]
    assert len(used) == len(set(used))


def configurations(name: str) -> dict[str, dict[str, Any]]:
    """Node -> its config.yaml."""
    found = {}
    for node in load(name).nodes:
        for bind in node.binds:
            if bind.source.name == "config.yaml":
                found[node.name] = yaml.safe_load(bind.source.read_text())
    return found


NODES = [(name, node) for name in FABRICS for node in configurations(name)]


@pytest.mark.parametrize(("name", "node"), NODES)
def test_a_nodes_configuration_agrees_with_the_fabric(name: str, node: str) -> None:
    topology, config = load(name), configurations(name)[node]
    owner = owners(topology)
    assert config["node"] == node
    assert {owner[address] for address in config["node_addresses"]} == {node}
    for peer in config["peers"]:
        if "address" in peer:
            assert owner[peer["address"]] != node
    others = [c for other, c in configurations(name).items() if other != node]
    assert not {cidr for c in others for cidr in c["pod_cidrs"]} & set(config["pod_cidrs"])


@pytest.mark.parametrize("name", FABRICS)
def test_routers_expect_each_neighbor_as_it_is(name: str) -> None:
    topology, configs = load(name), configurations(name)
    owner = owners(topology)
    for router in topology.nodes:
        for address, asn in expected_asns(router).items():
            far = owner[address]
            assert far != router.name
            if far in configs:
                assert configs[far]["local_asn"] == asn, (router.name, address)


@pytest.mark.parametrize(("name", "node"), NODES)
def test_the_agent_takes_a_nodes_configuration(name: str, node: str) -> None:
    text = next(
        bind.source.read_text()
        for spec in load(name).nodes
        if spec.name == node
        for bind in spec.binds
        if bind.source.name == "config.yaml"
    )
    surroundings = Surroundings(host_name=node, read_password=_no_password)
    settings = load_settings(text, source=f"{name}/{node}", surroundings=surroundings)
    assert settings.node == node


def _no_password(path: Path) -> Secret:
    raise AssertionError(f"a fabric needs no file {path}")


def test_a_peers_name_says_which_tor_and_family() -> None:
    for config in configurations("dual-tor").values():
        assert [peer["name"] for peer in config["peers"]] == [
            "tor1-v4",
            "tor1-v6",
            "tor2-v4",
            "tor2-v6",
        ]


@pytest.mark.parametrize("name", FABRICS)
def test_every_fabric_has_a_readme_and_is_named_in_the_index(name: str) -> None:
    readme = (FABRICS[name].parent / "README.md").read_text()
    assert readme.startswith(f"# {name}: ")
    assert f"./dev lab up {name}" in readme
    assert f"[{name}]({name}/README.md)" in (FABRICS[name].parents[1] / "README.md").read_text()
    root = FABRICS[name].parents[2]
    assert f"`{name}`" in (root / "README.md").read_text()
    assert f"`{name}`" in (root / "docs/architecture.md").read_text()


def test_routers_of_both_kinds_are_tors_in_two_fabrics_or_more() -> None:
    images = {
        kind: {
            name
            for name in FABRICS
            for n in load(name).nodes
            if kind in n.image and "tor" in n.name
        }
        for kind in ("frr", "bird")
    }
    assert all(len(names) >= 2 for names in images.values()), images
