"""Every fabric folder: a file both containerlab and the runner take, and files that agree."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import pytest
import yaml

from containerlab.netlab import schema
from containerlab.netlab.__main__ import fabrics
from containerlab.netlab.parse import parse_topology
from containerlab.netlab.topology import NodeSpec, Topology

FABRICS = fabrics()
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


def load(name: str) -> Topology:
    return parse_topology(FABRICS[name].read_text(), FABRICS[name], {})


@pytest.fixture
def dual_tor() -> Topology:
    return load("dual-tor")


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
        assert command[:3] == ("ip", "addr", "add"), command
        yield command[5], ipaddress.ip_interface(command[3])
    for bind in node.binds:
        if bind.source.name == "frr.conf":
            text = bind.source.read_text()
            for block in re.finditer(r"^interface (\S+)\n((?: .*\n)*)", text, re.MULTILINE):
                for found in re.findall(r" ip(?:v6)? address (\S+)", block[2]):
                    yield block[1], ipaddress.ip_interface(found)


def test_both_ends_of_each_link_share_a_subnet_per_family(dual_tor: Topology) -> None:
    per_end: dict[tuple[str, str], list[Interface]] = {}
    for node in dual_tor.nodes:
        for interface, address in addresses(node):
            per_end.setdefault((node.name, interface), []).append(address)
    for link in dual_tor.links:
        a = per_end[link.a.node, link.a.interface]
        b = per_end[link.b.node, link.b.interface]
        assert {x.version for x in a} == {4, 6}
        assert {x.network for x in a} == {x.network for x in b}, link
        assert not {x.ip for x in a} & {x.ip for x in b}, link


def test_no_address_is_used_twice(dual_tor: Topology) -> None:
    used = [address.ip for node in dual_tor.nodes for _, address in addresses(node)]
    assert len(used) == len(set(used))


def node_config(topology: Topology, name: str) -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load(
        (topology.path.parent / name / "config.yaml").read_text()
    )
    return config


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_nodes_configuration_agrees_with_the_fabric(dual_tor: Topology, number: int) -> None:
    name = f"node{number}"
    config = node_config(dual_tor, name)
    nodes = {node.name: node for node in dual_tor.nodes}
    own = [str(address.ip) for interface, address in addresses(nodes[name]) if interface == "lo"]
    assert config["node_addresses"] == own
    far = {
        str(address.ip)
        for link in dual_tor.links
        if link.b.node == name
        for interface, address in addresses(nodes[link.a.node])
        if interface == link.a.interface
    }
    peers = config["peers"]
    assert isinstance(peers, list)
    assert {peer["address"] for peer in peers} == far
    assert [peer["name"] for peer in peers] == ["tor1-v4", "tor1-v6", "tor2-v4", "tor2-v6"]


@pytest.mark.parametrize("tor", [1, 2])
def test_a_tor_expects_each_node_as_it_is(dual_tor: Topology, tor: int) -> None:
    text = (dual_tor.path.parent / f"tor{tor}" / "frr.conf").read_text()
    expected = dict(re.findall(r"^ neighbor (\S+) remote-as (\d+)$", text, re.MULTILINE))
    nodes = {node.name: node for node in dual_tor.nodes}
    for number in (1, 2, 3):
        config = node_config(dual_tor, f"node{number}")
        ours = {
            str(address.ip)
            for interface, address in addresses(nodes[f"node{number}"])
            if interface == f"eth{tor}"
        }
        assert {expected[address] for address in ours} == {str(config["local_asn"])}
