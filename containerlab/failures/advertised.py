"""Row 21: a node whose IPv6 default route came by router advertisement starts to forward."""

from __future__ import annotations

import time

from containerlab.demo.fabric import wait_for
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import START, Scene
from containerlab.netlab.node import Node

_RA = "net.ipv6.conf.eth1.accept_ra"
_FORWARDING = "net.ipv6.conf.all.forwarding"


def _advertised_default(scene: Scene) -> Outcome:
    """Start the agent on a node whose IPv6 default route came by router advertisement."""
    return _with_advertised_default(scene, with_agent=True)


def _forwarding_alone(scene: Scene) -> Outcome:
    """Turn forwarding on as others do, nothing else."""
    return _with_advertised_default(scene, with_agent=False)


def _with_advertised_default(scene: Scene, *, with_agent: bool) -> Outcome:
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0].node
    node = host.node
    host.agent.terminate()
    found = node.run(["sysctl", "-n", _RA]).stdout.strip()
    node.run(["sysctl", "-qw", f"{_FORWARDING}=0", f"{_RA}=1"])
    _advertise(tor, on=True)
    started = False
    try:
        wait_for(lambda: _no_default(node), deadline_s=15, what="a default route by RA")
        began = time.time()
        if with_agent:
            host.agent.start(*START)
            started = True
            scene.fabric.wait_fresh(host, since_epoch=began)
            value = node.run(["sysctl", "-n", _FORWARDING]).stdout.strip()
            faults = [] if value == "1" else [f"{_FORWARDING} is {value}"]
            faults += [_no_default(node)] if _no_default(node) else []
            note = f"{_RA} is {node.run(['sysctl', '-n', _RA]).stdout.strip()}"
        else:
            node.run(["sysctl", "-qw", f"{_FORWARDING}=1"])
            gone = _no_default(node)
            faults = [] if gone else ["the default route stayed"]
            note = "the default route is gone at once"
    finally:
        _advertise(tor, on=False)
        node.run(["sh", "-c", "ip -6 route flush default proto ra"], check=False)
        node.run(["sysctl", "-qw", f"{_FORWARDING}=1", f"{_RA}={found}"])
        # An address made from the advertised prefix is none that the fabric knows.
        if not started:
            host.agent.start(*START)
    return Outcome(note=note, faults=tuple(faults))


def _advertise(tor: Node, *, on: bool) -> None:
    lines = ["configure terminal", "interface eth1"]
    lines += ["ipv6 nd ra-interval 3", "no ipv6 nd suppress-ra"] if on else ["ipv6 nd suppress-ra"]
    tor.run(["vtysh", *(word for line in lines for word in ("-c", line))])


def _no_default(node: Node) -> str:
    """Return "" if there is an advertised default route."""
    shown = node.run(["ip", "-6", "route", "show", "default", "proto", "ra"]).stdout.strip()
    return "" if shown else "no default route by RA"


SCENARIOS = (
    Scenario(
        row="21",
        name="advertised_default",
        broken="the agent starts on a node whose IPv6 default route came by router advertisement",
        rule="forwarding is on and the default route stays",
        run=_advertised_default,
        control=_forwarding_alone,
        controlled="`forwarding=1` set, nothing else",
        control_loses=False,
    ),
)
