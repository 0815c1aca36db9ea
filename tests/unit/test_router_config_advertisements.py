"""`advertisements` of a document: what is announced, to whom, how."""

from __future__ import annotations

import pytest

from bgp.filter import Change
from bgp.nlri import Prefix
from bgp.secret import Secret
from router.config.document import ConfigError
from router.config.load import load_settings
from router.config.settings import AgentSettings
from router.config.surroundings import Surroundings
from tests.support.agent import Bench

TOP = """
node: node1
local_asn: 65201
node_addresses: [10.255.1.1]
pod_cidrs: [10.244.1.0/24]
cluster: {pod_prefixes: [10.244.0.0/16], node_prefixes: [10.255.0.0/16]}
peers:
  - {name: tor1, address: 10.0.1.2, remote_asn: 65101}
  - {name: tor2, address: 10.0.2.2, remote_asn: 65102}
"""
POD, HOST = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.255.1.1/32")


def settings(text: str) -> AgentSettings:
    around = Surroundings(host_name="h", read_password=lambda _: Secret("x"))
    return load_settings(TOP + text, source="f", surroundings=around)


def test_they_add_up() -> None:
    found = settings("""
advertisements:
  - {name: pods, pod_cidrs: true, communities: ["65201:1"], med: 5}
  - {node_addresses: true, peers: [tor2], prepend: 2}
  - {services: {load_balancer: true, selector: {a: b}}, local_preference: 200}
  - {prefixes: [10.0.1.2/31]}
nodes:
  - select: {matchLabels: {kubernetes.io/hostname: h}}
    advertisements: [{prefixes: [10.9.0.0/16, 10.0.1.2/31], large_communities: ["1:2:3"]}]
""")
    assert found.announce_pod_cidrs
    assert found.announce_node_addresses
    assert found.services.load_balancer
    assert found.services.selector == (("a", "b"),)
    assert found.extra_prefixes == (Prefix.parse("10.0.1.2/31"), Prefix.parse("10.9.0.0/16"))
    pods, hosts, services, extra, block = found.advertisements
    assert (pods.name, pods.prefixes) == ("pods", {POD})
    assert pods.change == Change(add_communities=((65201, 1),), med=5)
    assert (hosts.name, hosts.prefixes, hosts.peers) == ("advertisements[1]", {HOST}, {"tor2"})
    assert hosts.change.prepend == 2
    assert services.services
    assert services.change.local_preference == 200
    assert not extra.services
    assert block.change.add_large_communities == ((1, 2, 3),)


def test_without_any_announce_decides_as_before() -> None:
    found = settings("announce: {node_addresses: true, prefixes: [10.0.1.2/31]}\n")
    assert found.announce_pod_cidrs
    assert found.announce_node_addresses
    assert found.extra_prefixes == (Prefix.parse("10.0.1.2/31"),)
    assert found.advertisements == ()


def test_what_no_advertisement_gives_is_not_announced() -> None:
    found = settings("advertisements: [{node_addresses: true}]\n")
    assert not found.announce_pod_cidrs
    assert not found.services.is_wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "announce: {pod_cidrs: true}\nadvertisements: [{pod_cidrs: true}]\n",
            "announce: not together with advertisements",
        ),
        ("advertisements: [{name: x}]\n", "advertisements[0]: announces nothing"),
        ("advertisements: [{pod_cidrs: true, prepend: 17}]\n", "advertisements[0].prepend"),
        (
            "advertisements: [{services: {external: true}, name: a},"
            " {services: {cluster: true}}]\n",
            "advertisements[1].services: a has services, too",
        ),
        ("advertisements: [{pod_cidrs: true, community: [x]}]\n", "did you mean 'communities'"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert problem in str(caught.value)


def test_an_extra_prefix_waits_for_its_link_and_makes_no_node_unready() -> None:
    bench = Bench(config=TOP + "announce: {prefixes: [10.0.1.2/31, 10.9.0.0/16]}\n")
    bench.step()
    bench.step()
    networks = {str(prefix) for prefix in bench.agent.announcer.networks}
    assert networks == {"10.244.1.0/24", "10.0.1.2/31"}
    assert [str(prefix) for prefix, _ in bench.agent.announcer.current.waiting] == ["10.9.0.0/16"]
    assert "10.9.0.0/16" not in bench.agent.verdict.text
