"""The whole life of a duplicate: a second, younger Node gets node1's pod CIDRs, and is deleted.

Counted are packets to node1's pod, from the client and from a pod of node2. The control is the
same younger node without the resolution: an agent that has no API to ask.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_network
from typing import Any, Final

from containerlab.demo.fabric import FAMILIES
from containerlab.demo.tor import RouteWatch
from containerlab.measure.check import Check, at_least, exactly
from containerlab.measure.flows import Group, GroupResult, Traffic
from tests.support.kube_fabric import KubeFabric
from tests.support.wait import wait_until

FLOWS: Final = 20
RATE: Final = 25.0
"""Packets a second of one flow: 500 in each family and direction."""
PAUSE_S: Final = 1.0
Faults = list[str]


def check_duplicate(scene: KubeFabric) -> list[Check]:
    """Let node3 be the younger one; it has no Node and no agent before, and none after."""
    found, faults = _under_traffic(scene, lambda: _life(scene))
    control, control_faults = _under_traffic(scene, lambda: _without_resolution(scene))
    return [
        Check(
            name="duplicate_cidr_disturbance",
            value=sum(result.lost for result in found),
            unit="packets",
            bound=exactly(0),
            samples=[result.to_sample() for result in found],
            faults=tuple(faults),
        ),
        Check(
            name="duplicate_control_lost",
            value=sum(result.lost for result in control),
            unit="packets",
            bound=at_least(1),
            samples=[result.to_sample() for result in control],
            faults=tuple(control_faults),
        ),
    ]


def _under_traffic(
    scene: KubeFabric, do: Callable[[], Faults]
) -> tuple[tuple[GroupResult, ...], Faults]:
    one, two, _ = scene.fabric.hosts
    pod = one.pods[0]
    groups = [
        Group(
            name=f"{name} to node1's pod, IPv{family}",
            source=source,
            target=pod,
            address=pod.address(family),
            flows=FLOWS,
            rate=RATE,
        )
        for family in FAMILIES
        for name, source in (("client", scene.fabric.client), ("pod of node2", two.pods[0]))
    ]
    cidrs = [*map(str, one.pod_cidrs)]
    with Traffic(groups) as traffic:
        traffic.go()
        time.sleep(PAUSE_S)
        faults = do()
        time.sleep(PAUSE_S)
        results = traffic.stop()
    scene.wait_ways(cidrs, ("node1",), 15)
    return results, [*faults, *(fault for result in results for fault in result.faults())]


def _life(scene: KubeFabric) -> Faults:
    one, _, three = scene.fabric.hosts
    cidrs = [*map(str, one.pod_cidrs)]
    faults: Faults = []
    with ExitStack() as stack:
        watches = [stack.enter_context(RouteWatch(tor)) for tor in scene.fabric.tors]
        scene.register(three, cidrs)
        scene.start_agent(three, services=False)
        scene.wait_claims(three, "yielded", cidrs)
        _wait_event(scene, "node3")
        time.sleep(PAUSE_S)
        scene.wait_ways(cidrs, ("node1",), 1)
        lists = scene.lists_of_nodes()
        if lists > len(cidrs):
            faults.append(f"{lists} lists of all Nodes for {len(cidrs)} pod CIDRs")
        scene.delete_node("node3")
        scene.wait_reasons(three, "our Node object was deleted")
        time.sleep(PAUSE_S)
        three.podroute("stop", "--withdraw")
        three.agent.wait_ended("stop --withdraw")
        time.sleep(PAUSE_S)
        for watch in watches:
            for cidr in map(ip_network, cidrs):
                if watch.removed(cidr) or watch.added(cidr):
                    faults.append(f"{watch.tor.node.name}: its route to {cidr} was changed")
    claims = {each["prefix"]: each["state"] for each in scene.status(one)["pod_cidr_claims"]}
    if set(claims.values()) != {"clear"}:
        faults.append(f"node1 was told of it: {claims}")
    _forget(scene)
    return faults


def _without_resolution(scene: KubeFabric) -> Faults:
    one, _, three = scene.fabric.hosts
    cidrs = [*map(str, one.pod_cidrs)]
    scene.start_agent_alone(three, cidrs)
    scene.wait_ways(cidrs, ("node1", "node3"), 20)
    time.sleep(PAUSE_S)
    three.podroute("stop", "--withdraw")
    three.agent.wait_ended("stop --withdraw")
    _forget(scene)
    return []


def _wait_event(scene: KubeFabric, node: str) -> None:
    def probe() -> bool:
        return any(each["regarding"]["name"] == node for each in _events(scene))

    wait_until(probe, deadline_s=10, what=f"an Event says that {node} yields")


def _events(scene: KubeFabric) -> list[dict[str, Any]]:
    listed = scene.api.request("GET", "/apis/events.k8s.io/v1/namespaces/default/events")
    return [e for e in listed["items"] if e["reason"] == "PodrouteDuplicatePodCIDR"]


def _forget(scene: KubeFabric) -> None:
    """Leave nothing of node3's agent on the node: the next one there is of another boot."""
    script = (
        "rm -rf /run/podroute/* /run/state; ip route flush proto 75; ip -6 route flush proto 75"
    )
    scene.host("node3").node.run(["sh", "-c", script])
