"""Debian's plugins chained behind ours, called as libcni calls them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import Answer, CniNode, first_packet_passes
from tests.support.netns import Namespace
from tests.support.plugin_chain import DEBIAN_PLUGINS, PluginChain

TYPES = ("portmap", "bandwidth", "tuning", "firewall")
pytestmark = [
    pytest.mark.netns,
    pytest.mark.needs("nft", "iptables", *(str(DEBIAN_PLUGINS / name) for name in TYPES)),
]

PODROUTE = {"type": "podroute", "capabilities": {"ips": True, "mac": True, "dns": True}}
PORTMAP = {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}
BANDWIDTH = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
TUNING = {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}, "mtu": 1400, "promisc": True}
FIREWALL = {"type": "firewall", "backend": "iptables"}
CHAIN: tuple[dict[str, Any], ...] = (PODROUTE, PORTMAP, BANDWIDTH, TUNING, FIREWALL)

PODMAN_CONFIG = {
    "portMappings": [{"hostPort": 18080, "containerPort": 8080, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 10_000_000, "ingressBurst": 1_000_000,
                  "egressRate": 10_000_000, "egressBurst": 1_000_000},
    "dns": {"servers": ["10.96.0.10"], "searches": ["test.local"], "options": ["ndots:5"]},
}  # fmt: skip
# go-cni's structs have no JSON tags: Go does not mind the case of a key, others must not either.
CONTAINERD_CONFIG = {
    "portMappings": [{"HostPort": 18080, "ContainerPort": 8080, "Protocol": "tcp", "HostIP": ""}],
    "bandwidth": {"IngressRate": 10_000_000, "IngressBurst": 1_000_000,
                  "EgressRate": 10_000_000, "EgressBurst": 1_000_000},
    "dns": {"Servers": ["10.96.0.10"], "Searches": ["test.local"], "Options": ["ndots:5"]},
}  # fmt: skip


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], shim: Path) -> Iterator[CniNode]:
    with contextlib.closing(CniNode(make_namespace("node1"), shim)) as node:
        node.facts("10.244.1.0/24", "fd00:244:1::/64")
        node.start()
        node.sandbox("a")
        yield node


def rules(node: CniNode) -> str:
    """Return what the packet filter says of pods' addresses and of published ports."""
    lines = node.namespace.run(["nft", "list", "ruleset"]).stdout.splitlines()
    return "\n".join(line for line in lines if "244" in line or "18080" in line)


def assert_fine(answers: dict[str, Answer]) -> None:
    for name, answer in answers.items():
        assert (answer.exit_code, answer.stdout) == (0, ""), name


@pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
@pytest.mark.parametrize(
    "given", [PODMAN_CONFIG, CONTAINERD_CONFIG], ids=["podman's keys", "containerd's keys"]
)
def test_the_whole_chain(node: CniNode, version: str, given: dict[str, Any]) -> None:
    chain = PluginChain(node, CHAIN, version)
    result = chain.add("a", given)
    addresses = [ip["address"].split("/")[0] for ip in result["ips"]]
    assert addresses == ["10.244.1.1", "fd00:244:1::1"]
    for address in addresses:
        first_packet_passes(node, "a", address)
    assert result["dns"]["nameservers"] == ["10.96.0.10"]
    for published in ("18080", "10.244.1.1", "fd00:244:1::1"):
        assert published in rules(node)
    assert node.namespace.run(["tc", "qdisc", "show"]).stdout.count("tbf") == 2
    assert "mtu 1400" in node.in_pod("a", "ip", "link", "show", "eth0")
    answers = chain.check("a", given)
    # portmap 1.1.1 looks for its rules in both families whatever there is, and fails behind any.
    del answers["portmap"]
    assert_fine(answers)
    chain.delete("a", given)
    assert node.links() == []
    assert node.pod_routes() == []
    assert rules(node) == ""
    assert "tbf" not in node.namespace.run(["tc", "qdisc", "show"]).stdout
    chain.delete("a", given)


def test_the_oldest_version_of_chains(node: CniNode) -> None:
    """0.3.1 has no CHECK, and firewall does not speak it."""
    chain = PluginChain(node, CHAIN[:-1], "0.3.1")
    result = chain.add("a", CONTAINERD_CONFIG)
    assert [ip["version"] for ip in result["ips"]] == ["4", "6"]
    for ip in result["ips"]:
        first_packet_passes(node, "a", ip["address"].split("/")[0])
    chain.delete("a", CONTAINERD_CONFIG)
    assert (node.links(), rules(node)) == ([], "")


def test_ports_declared_on_us_are_refused(node: CniNode) -> None:
    """Better than a pod whose port is not mapped, without a word."""
    misplaced = {"type": "podroute", "capabilities": {"portMappings": True}}
    answer = PluginChain(node, (misplaced,)).call("ADD", misplaced, "a", None, CONTAINERD_CONFIG)
    assert answer.body["code"] == 2
    assert "declare it on the portmap plugin" in answer.body["msg"]
    assert node.links() == []


def test_the_mac_asked_for_survives_the_chain(node: CniNode) -> None:
    chain = PluginChain(node, CHAIN)
    given = {**CONTAINERD_CONFIG, "mac": "c2:b0:57:49:47:f1", "ips": ["10.244.1.77"]}
    result = chain.add("a", given)
    assert result["interfaces"][1]["mac"] == "c2:b0:57:49:47:f1"
    assert "10.244.1.77/32" in [ip["address"] for ip in result["ips"]]
    first_packet_passes(node, "a", "10.244.1.77")
    assert chain.check("a", given)["podroute"].exit_code == 0
    chain.delete("a", given)


@pytest.mark.parametrize(
    ("tuning", "cni_args", "lost"),
    [
        ({"mac": "c2:b0:57:49:47:f1"}, None, "host: add neighbor 10.244.1.1 at"),
        ({}, "IgnoreUnknown=1;MAC=c2:b0:57:49:47:f1", "sandbox: add neighbor 169.254.1.1 at"),
    ],
    ids=["another MAC", "the same MAC"],
)
def test_tuning_of_the_mac_cuts_the_pod_off_and_check_says_so(
    node: CniNode, tuning: dict[str, str], cni_args: str | None, lost: str
) -> None:
    """It sets the link down meanwhile, so that the pod loses its permanent neighbors."""
    chain = PluginChain(node, (PODROUTE, {"type": "tuning", **tuning}), cni_args=cni_args)
    chain.add("a")
    answer = chain.check("a")["podroute"]
    assert answer.exit_code != 0
    assert lost in answer.body["details"]
    chain.delete("a")
    assert node.links() == []


def test_a_chain_in_the_wrong_order_is_refused(node: CniNode) -> None:
    previous = {"cniVersion": "1.0.0", "interfaces": [], "ips": [], "routes": [], "dns": {}}
    answer = node.call("ADD", "a", config={"prevResult": previous})
    assert answer.body["code"] == 7
    assert node.links() == []
