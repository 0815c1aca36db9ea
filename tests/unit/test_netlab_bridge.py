from __future__ import annotations

from pathlib import Path

import pytest

from containerlab.netlab.errors import TopologyError
from containerlab.netlab.parse import parse_topology
from containerlab.netlab.plan import make_plan, render_up_batch
from containerlab.netlab.service import NOTHING
from containerlab.netlab.topology import Topology

TEXT = """
name: switched
topology:
  defaults: {kind: linux, network-mode: none, image: alpine, sysctls: {net.ipv4.ip_forward: 1}}
  nodes:
    sw: {kind: bridge}
    a: {}
    b: {}
  links:
    - {endpoints: ["sw:to-a", "a:eth1"], mtu: 1500}
    - {endpoints: ["b:eth1", "sw:to-b"], mtu: 1500}
"""


def parse(text: str) -> Topology:
    return parse_topology(text, Path("/labs/switched/switched.clab.yml"), {})


def test_a_bridge_needs_no_image_and_takes_nothing_that_is_for_containers() -> None:
    switch, a, _ = parse(TEXT).nodes
    assert (switch.is_bridge, switch.image, switch.sysctls) == (True, "", ())
    assert (a.is_bridge, a.image) == (False, "alpine")


def test_its_links_become_ports_of_a_link_of_its_name() -> None:
    plan = make_plan(parse(TEXT))
    assert plan.nodes[0].service == NOTHING
    assert render_up_batch(plan, "sw") == (
        "link add name sw type bridge\n"
        "link set dev to-a master sw\n"
        "link set dev to-b master sw\n"
        "link set dev sw up\n"
        "link set dev lo up\n"
        "link set dev to-a up\n"
        "link set dev to-b up\n"
    )
    assert render_up_batch(plan, "b") == "link set dev lo up\nlink set dev eth1 up\n"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("sw: {kind: bridge, exec: [x]}", "node sw: key 'exec' means nothing for a bridge"),
        ("sw: {kind: bridge, image: alpine}", "node sw: key 'image' means nothing for a bridge"),
        ("sixteen-is-much-: {kind: bridge}", "node sixteen-is-much-: is no usable name"),
    ],
)
def test_what_is_wrong_with_a_bridge_is_said(wrong: str, problem: str) -> None:
    with pytest.raises(TopologyError) as caught:
        parse(TEXT.replace("sw: {kind: bridge}", wrong))
    assert problem in str(caught.value)
