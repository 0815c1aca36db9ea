"""`podroute pods`: what people see."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from cni.attachment.alias import Addresses
from cni.attachment.identity import AttachmentKey
from cni.attachment.label import Label, render_label
from cni.attachment.lease import Lease, LeaseKey, lease_name, render_lease
from cni.attachment.plan import LinkSettings, plan_pod_link
from cni.node_facts import NodeFacts
from cni.node_facts import render as render_facts
from cni.server.offline import read_overview
from router.cli.pods import render
from tests.support.fake_dataplane import FakeDataplane


def on_node(directory: Path) -> FakeDataplane:
    """Make two pod links and a lease, as a server would have left them."""
    dataplane = FakeDataplane()
    for container, *addresses in (("a", "10.244.1.1", "fd00::1"), ("b", "10.9.0.1")):
        key = AttachmentKey(network="podroute", container_id=container, ifname="eth0")
        plan = plan_pod_link(
            key,
            Addresses.of(map(ip_address, addresses)),
            LinkSettings(mtu=1500, sources=Addresses()),
        )
        dataplane.create(plan, 3)
    for name in ("labels", "leases"):
        (directory / name).mkdir()
    link = next(link.name for link in dataplane.links.values() if " a " in link.alias)
    label = Label(namespace="default", pod="web-0", netns="/run/netns/a", since=1000.0)
    (directory / "labels" / link).write_bytes(render_label(label))
    for container, address in (("c", "10.244.1.7"), ("", "10.244.1.8")):
        lease = Lease(
            key=LeaseKey(network="n", container_id=container, ifname="eth0"),
            addresses=Addresses.of([ip_address(address)]),
            sandbox=None,
            since=1000.0,
        )
        (directory / "leases" / lease_name(lease.key)).write_bytes(render_lease(lease))
    (directory / "leases" / "rubbish").write_bytes(b"x")
    facts = NodeFacts(
        generation=1,
        node="n",
        pod_cidrs=(ip_network("10.244.1.0/24"), ip_network("fd00::/64")),
        node_addresses=(),
        mtu=1500,
        ready=True,
        reason="",
    )
    (directory / "node.json").write_bytes(render_facts(facts))
    return dataplane


def test_the_kernel_and_run_are_enough(tmp_path: Path) -> None:
    dataplane = on_node(tmp_path)
    answer = json.loads(read_overview(dataplane, tmp_path).render())
    assert dataplane.held is None
    text = render(answer, 1190.0)
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["POD", "CONTAINER"]
    (web,) = (line for line in lines if "web-0" in line)
    assert "10.244.1.1,fd00::1" in web
    assert "3m10s" in web
    (orphan,) = (line for line in lines if "10.9.0.1" in line)
    assert "orphaned" in orphan
    assert any(line.endswith("lease") for line in lines)
    assert any(line.endswith("gateway") for line in lines)
    assert "pool 10.244.1.0/24: 3 of 254 usable addresses in use" in lines
    assert answer["restored"] is None


def test_an_empty_node(tmp_path: Path) -> None:
    answer = json.loads(read_overview(FakeDataplane(), tmp_path).render())
    assert answer == {
        "pods": [],
        "pools": [],
        "restored": None,
        "restore_failures": None,
        "swept": None,
        "calls": None,
        "lacking": None,
        "filter_problem": None,
    }
    assert render(answer, 0).startswith("POD")


def test_a_missing_host_route_is_told(tmp_path: Path) -> None:
    dataplane = on_node(tmp_path)
    (index,) = (link.index for link in dataplane.links.values() if " a " in link.alias)
    dataplane.links[index] = replace(
        dataplane.links[index], routes=frozenset({ip_address("fd00::1")})
    )
    answer = json.loads(read_overview(dataplane, tmp_path).render())
    lines = render(answer | {"restore_failures": 3}, 1190.0).splitlines()
    (web,) = (line for line in lines if "web-0" in line)
    assert web.endswith("no host route to 10.244.1.1")
    assert lines[-1].startswith("3 times since start")
