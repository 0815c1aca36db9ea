from __future__ import annotations

from pathlib import Path

import pytest

from containerlab.netlab.parse import parse_topology
from containerlab.netlab.plan import (
    BASE_ENV,
    LabPlan,
    endpoints,
    make_plan,
    render_create_batch,
    render_setup,
    render_up_batch,
)
from containerlab.netlab.service import BIRD, FRR, GOBGP, NOTHING, service_for
from containerlab.netlab.topology import Endpoint

TEXT = """
name: three
topology:
  defaults: {kind: linux, network-mode: none, image: alpine}
  nodes:
    r: {image: "quay.io/frrouting/frr:10.5.1", sysctls: {net.ipv4.ip_forward: 1}, env: {A: b}}
    x: {binds: ["f:/etc/f:ro"]}
    y: {}
  links:
    - {endpoints: ["r:eth1", "x:eth0"], mtu: 1500}
    - {endpoints: ["y:eth0", "r:eth2"], mtu: 9000}
"""


@pytest.fixture
def plan() -> LabPlan:
    return make_plan(parse_topology(TEXT, Path("/labs/three/three.clab.yml"), {}))


@pytest.mark.parametrize(
    ("image", "service"),
    [
        ("quay.io/frrouting/frr:10.5.1", FRR),
        ("frrouting/frr", FRR),
        ("registry.example:5000/mirror/frrouting/frr@sha256:0123", FRR),
        ("pierky/bird:2.0.12", BIRD),
        ("localhost/gobgp:3", GOBGP),
        ("localhost/podroute-node:dev", NOTHING),
        ("nicolaka/netshoot", NOTHING),
        ("nginx", None),
        ("my-frrouting/frr-exporter", None),
        ("bird-exporter", None),
        ("gobgp-exporter", None),
    ],
)
def test_an_image_stands_for_a_service(image: str, service: object) -> None:
    assert service_for(image) == service


def test_links_are_made_between_the_nodes_by_pid(plan: LabPlan) -> None:
    pids = {"r": 10, "x": 11, "y": 12}
    assert render_create_batch(plan, "r", pids) == (
        "link add name eth1 index 101 mtu 1500 type veth"
        " peer name eth0 index 102 mtu 1500 netns 11\n"
    )
    assert render_create_batch(plan, "x", pids) == ""
    assert render_create_batch(plan, "y", pids) == (
        "link add name eth0 index 103 mtu 9000 type veth"
        " peer name eth2 index 104 mtu 9000 netns 10\n"
    )


def test_all_links_and_lo_come_up(plan: LabPlan) -> None:
    assert render_up_batch(plan, "r") == (
        "link set dev lo up\nlink set dev eth1 up\nlink set dev eth2 up\n"
    )


def test_each_end_knows_the_other(plan: LabPlan) -> None:
    ends = endpoints(plan.links)
    assert len(ends) == 4
    assert all(ends[ends[end]] == end for end in ends)
    assert ends[Endpoint(node="r", interface="eth2")] == Endpoint(node="y", interface="eth0")


def test_a_node_gets_its_own_environment_only(plan: LabPlan) -> None:
    assert plan.nodes[0].env == {**BASE_ENV, "A": "b"}
    assert plan.nodes[1].env == BASE_ENV


def test_ipv6_is_switched_on_where_sysctls_are_given(plan: LabPlan) -> None:
    assert plan.nodes[0].sysctls == (
        ("net.ipv6.conf.all.disable_ipv6", "0"),
        ("net.ipv4.ip_forward", "1"),
    )
    assert plan.nodes[1].sysctls == ()


def test_only_what_a_private_tree_would_hide_is_shown_again(plan: LabPlan) -> None:
    setup = render_setup(plan.nodes[1], (Path("/usr"), Path("/opt/venv"), Path("/optional")))
    assert setup["visible"] == ["/opt/venv"]
    assert setup["binds"] == [
        {"source": "/labs/three/f", "target": "/etc/f", "read_only": True},
    ]
