"""A node leaves and comes back under traffic to a Service whose endpoints are elsewhere.

Every node announces the Service's address (policy Cluster) and forwards to the endpoints as
kube-proxy has it, so the node that leaves carries a third of the packets. Then it is rebooted:
daemons gone, links silent, kernel state and /run/podroute lost, and it comes back.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from containerlab.demo.fabric import FAMILIES, NODES, Host
from containerlab.measure.check import Check, at_least, exactly
from containerlab.measure.flows import Group, GroupResult, Traffic
from tests.support.kube_fabric import SHUTDOWN, VIPS, KubeFabric
from tests.support.wait import wait_until

FLOWS: Final = 20
RATE: Final = 25.0
"""Packets a second of one flow: 500 in each family."""
BEFORE_S: Final = 1.0
DARK_S: Final = 1.5
AFTER_S: Final = 1.0
_PREFIXES: Final = ("203.0.113.7/32", "2001:db8:cafe::7/128")
# What a reboot takes from a node: routes, nexthop objects, everything on tmpfs, and conntrack (a
# masqueraded flow that comes back and leaves by another link than before loses a packet).
_FORGET: Final = """
for family in -4 -6; do
    for protocol in 74 75; do ip $family route flush proto $protocol; done
done
ip nexthop flush proto 74 2>/dev/null || true
rm -rf /run/podroute/*
"""
_FORGET_FLOWS: Final = "from pyroute2 import NFCTSocket; s = NFCTSocket(); s.flush(); s.close()"


class Leaving(NamedTuple):
    """How a node leaves, and what ends that once it is back."""

    name: str
    leave: Callable[[KubeFabric, Host], None]
    back: Callable[[KubeFabric, Host], None]
    stays_away: bool
    """Whether it is still drained when it comes back."""


def _annotate(scene: KubeFabric, host: Host) -> None:
    scene.annotate(host, drain="true", drain_wait="1")
    scene.wait_phase(host, "drained")


def _shut_down(scene: KubeFabric, host: Host) -> None:
    """Be kubelet: say that the machine goes down, end other pods, then ours by SIGTERM."""
    scene.say_ready(host, SHUTDOWN)
    scene.wait_phase(host, "waiting")
    time.sleep(BEFORE_S)
    host.agent.terminate()


def _nothing(scene: KubeFabric, host: Host) -> None:
    """Do nothing."""


LEAVINGS: Final = (
    Leaving("annotation", _annotate, lambda s, h: s.annotate(h, drain=None), True),
    Leaving("kubelet's shutdown", _shut_down, lambda s, h: s.say_ready(h), False),
)
CONTROL: Final = Leaving("no drain", _nothing, _nothing, False)


def check_drain(scene: KubeFabric) -> list[Check]:
    """Let node3 leave in each way; the pods of node1 and node2 are the endpoints."""
    hosts = scene.fabric.hosts
    scene.serve([host.pods[0] for host in hosts[:2]])
    scene.wait_ways(_PREFIXES, NODES, 30)
    results = {each.name: _one(scene, each) for each in LEAVINGS}
    control = _one(scene, CONTROL)
    lost = sum(sum(r.lost for r in found) for found, _ in results.values())
    return [
        Check(
            name="drain_lost",
            value=lost,
            unit="packets",
            bound=exactly(0),
            samples={name: _samples(found) for name, (found, _) in results.items()},
            faults=tuple(f"{name}: {f}" for name, (_, faults) in results.items() for f in faults),
        ),
        Check(
            name="control_lost",
            value=sum(r.lost for r in control[0]),
            unit="packets",
            bound=at_least(1),
            samples=_samples(control[0]),
            faults=control[1],
        ),
    ]


def _one(scene: KubeFabric, how: Leaving) -> tuple[tuple[GroupResult, ...], tuple[str, ...]]:
    one, two, three = scene.fabric.hosts
    links = list(three.node.interfaces.values())
    groups = [
        Group(
            name=f"client to the Service, IPv{family}",
            source=scene.fabric.client,
            target=one.pods[0],
            also=(two.pods[0],),
            address=VIPS[family],
            flows=FLOWS,
            rate=RATE,
        )
        for family in FAMILIES
    ]
    faults: list[str] = []
    with Traffic(groups) as traffic:
        before = _carried(three)
        traffic.go()
        time.sleep(BEFORE_S)
        if _carried(three) - before < 100:
            faults.append("node3 carried next to nothing before it left")
        how.leave(scene, three)
        three.agent.terminate()
        three.cni.terminate()
        for link in links:
            link.drop()
            link.other.drop()
        three.node.run(["sh", "-c", _FORGET])
        three.node.run([sys.executable, "-c", _FORGET_FLOWS])
        time.sleep(DARK_S)
        for link in links:
            link.heal()
            link.other.heal()
        three.cni.start()
        scene.start_agent(three)
        _wait_sessions(scene, three)
        if how.stays_away:
            scene.wait_phase(three, "drained")
            scene.wait_ways(_PREFIXES, NODES[:2], 5)
        how.back(scene, three)
        scene.wait_ways(_PREFIXES, NODES, 30)
        before = _carried(three)
        time.sleep(AFTER_S)
        if _carried(three) - before < 100:
            faults.append("node3 carries next to nothing after it came back")
        results = traffic.stop()
    faults += [fault for result in results for fault in result.faults()]
    return results, tuple(faults)


def _carried(host: Host) -> int:
    """Return how many packets a node has had from its ToRs."""
    script = (
        "cat /sys/class/net/eth1/statistics/rx_packets /sys/class/net/eth2/statistics/rx_packets"
    )
    return sum(map(int, host.node.run(["sh", "-c", script]).stdout.split()))


def _wait_sessions(scene: KubeFabric, host: Host) -> None:
    def probe() -> bool:
        peers = scene.status(host)["peers"]
        return bool(peers["established"] == peers["configured"])

    wait_until(probe, deadline_s=30, what=f"{host.name}: all sessions are up again")


def _samples(results: tuple[GroupResult, ...]) -> list[dict[str, Any]]:
    return [result.to_sample() for result in results]
