"""BFD: how long a silent link hurts, false alarms on a busy node, processor time of 8 sessions.

`./dev bench bfd [--json] [--quick]`. The gap is measured on the dual-tor fabric with FRR's bfdd on
the ToRs, 3 x 100 ms: node1's link to tor1 falls silent, and the worst flow of the worst run counts,
out of node1 and from node2 to it (tor1 must notice and tell). From the client to node1 only FRR
routers decide; that gap is among the samples but not in the value. The rest is between two daemons
of ours, 8 sessions at 3 x 100 ms: any session that goes down at either end is a false alarm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import yaml

from bgp.bfd.session import Spec
from containerlab.demo.daemon import PODROUTE, Daemon
from containerlab.demo.fabric import (
    CLIENT_ADDRESSES,
    FAMILIES,
    TOPOLOGY,
    Fabric,
    Host,
    usable_legs,
    wait_for,
)
from containerlab.demo.tor import Tor
from containerlab.measure.check import Check, all_ok, at_most, exactly, render_json, render_table
from containerlab.measure.flows import Group, Traffic
from containerlab.netlab import Lab
from tests.support.bfd import BfdHost
from tests.support.netns import Namespace, join, namespaces

INTERVAL_MS = 100
GAP_MS = 450
CPU_PERCENT = 4
SESSIONS = 8
BUSY = 4
_CONFIG = "/run/bfd.yaml"
_BEFORE_S = 1.0
_AFTER_S = 2.5


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench bfd", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = [
        silent_gap(runs=1 if options.quick else 3),
        *endurance(
            idle_s=5 if options.quick else 60,
            busy_s=15 if options.quick else 600,
        ),
    ]
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


# --- how long a silent link hurts --------------------------------------------------------------


def silent_gap(*, runs: int) -> Check:
    """Drop everything on node1's uplink to tor1, carrier kept, under traffic both ways."""
    samples: list[dict[str, int | float | str]] = []
    faults: list[str] = []
    gaps: list[float] = []
    with Lab.up(TOPOLOGY) as lab:
        fabric = Fabric(lab)
        fabric.wait_routers()
        for tor in fabric.tors:
            _start_bfdd(tor)
        for host in fabric.hosts[:2]:
            _start(host)
        for host in fabric.hosts[:2]:
            wait_for(partial(_not_watched, host), deadline_s=60, what=f"{host.name}: BFD")
        for _ in range(runs):
            with Traffic(list(_groups(fabric))) as traffic:
                traffic.go()
                time.sleep(_BEFORE_S)
                link = lab.nodes["node1"].interface("eth1")
                link.drop()
                link.other.drop()
                time.sleep(_AFTER_S)
                results = traffic.stop()
            link.heal()
            link.other.heal()
            gaps += [r.worst_gap_ms for r in results if not r.name.startswith("client")]
            samples += [result.to_sample() for result in results]
            faults += [fault for result in results for fault in result.faults()]
            wait_for(partial(_not_watched, fabric.hosts[0]), deadline_s=60, what="BFD back")
    return Check(
        name="bfd_3x100_silent_gap_ms",
        value=round(max(gaps), 1),
        unit="ms",
        bound=at_most(GAP_MS),
        samples=samples,
        faults=tuple(faults),
    )


def _groups(fabric: Fabric) -> Iterator[Group]:
    one, two, _ = fabric.hosts
    for family in FAMILIES:
        for source, target, address in (
            (one.node, two.node, two.address(family)),
            (two.node, one.node, one.address(family)),
            (one.node, fabric.client, CLIENT_ADDRESSES[family]),
            (fabric.client, one.node, one.address(family)),
        ):
            name = f"{source.name} to {target.name}, IPv{family}"
            yield Group(name=name, source=source, target=target, address=address)


def _start_bfdd(tor: Tor) -> None:
    """Start FRR's bfdd on a ToR and let BGP use it toward the nodes."""
    tor.node.run(["/usr/lib/frr/bfdd", "-d", "-A", "127.0.0.1"])
    timers = [f"{name}-interval {INTERVAL_MS}" for name in ("transmit", "receive")]
    asn = tor.node.run(["vtysh", "-c", "show running-config bgpd"]).stdout
    router = next(line for line in asn.splitlines() if line.startswith("router bgp"))
    lines = ["configure terminal", "bfd", "profile fast", "detect-multiplier 3", *timers]
    lines += ["exit", "exit", router, *(f"neighbor NODES{f} bfd profile fast" for f in FAMILIES)]
    tor.node.run(["vtysh", *(word for line in lines for word in ("-c", line))])


def _start(host: Host) -> None:
    config = dict(host.config)
    profile = {"interval_ms": INTERVAL_MS, "multiplier": 3}
    config["peers"] = [{**peer, "bfd": profile} for peer in config["peers"]]
    host.node.run(["tee", _CONFIG], input=yaml.safe_dump(config))
    Daemon(host.node, "bfd", ["bfd"]).start()
    host.agent.start("router", "--config", _CONFIG)


def _not_watched(host: Host) -> str:
    """Return "" if every peer has BFD and BGP up and the host has two legs, else what lacks."""
    done = host.node.run([PODROUTE, "peers", "-o", "json"], check=False)
    if done.returncode:
        return done.stderr
    states = [
        f"{peer['name']} {peer['state']}/{peer['bfd']['state']}"
        for peer in json.loads(done.stdout)["peers"]
    ]
    wrong = [state for state in states if not state.endswith("established/up")]
    if wrong:
        return ", ".join(wrong)
    return "" if usable_legs(host.node, ip_network(CLIENT_ADDRESSES[4])) == 2 else "not two legs"


# --- false alarms, processor time --------------------------------------------------------------


def endurance(*, idle_s: float, busy_s: float) -> list[Check]:
    """Let two daemons watch each other, first in peace, then beside busy processes."""
    with namespaces("left", "right") as (left, right):
        join(left, "eth1", right, "eth1")
        _address(left, "3")
        _address(right, "2")
        with BfdHost(left) as one, BfdHost(right) as other:
            one.want(*_specs(one, theirs="2", ours="3"))
            other.want(*_specs(other, theirs="3", ours="2"))
            for host in (one, other):
                host.wait_up()
            spent = [_percent(host, idle_s) for host in (one, other)]
            with _busy(left):
                time.sleep(busy_s)
            sessions = [s for host in (one, other) for s in host.sessions().values()]
            reports = [host.report for host in (one, other)]
    downs = sum(session.downs for session in sessions)
    faults = () if len(sessions) == 2 * SESSIONS else (f"{len(sessions)} sessions at the end",)
    how = {"scheduling": reports[0].priority, "memory": reports[0].memory} if reports[0] else {}
    return [
        Check(
            name="bfd_false_downs",
            value=downs,
            unit=f"in {busy_s:g} s",
            bound=exactly(0),
            samples={"sessions": len(sessions), "busy processes": BUSY, **how},
            faults=faults,
        ),
        Check(
            name="bfd_8_sessions_cpu_percent",
            value=round(max(spent), 2),
            unit="% of a core",
            bound=at_most(CPU_PERCENT),
            samples=[round(percent, 2) for percent in spent],
            faults=faults,
        ),
    ]


def _address(namespace: Namespace, end: str) -> None:
    for number in range(SESSIONS // 2):
        for address in (f"10.0.{number}.{end}/31", f"fd00:0:{number}::{end}/127"):
            namespace.run(["ip", "address", "add", address, "dev", "eth1", "nodad"])


def _specs(host: BfdHost, *, theirs: str, ours: str) -> Iterator[Spec]:
    for number in range(SESSIONS // 2):
        for place in (f"10.0.{number}.", f"fd00:0:{number}::".replace(":0::", "::")):
            yield host.spec(f"{place}{theirs}", f"{place}{ours}", "eth1", INTERVAL_MS)


def _percent(host: BfdHost, seconds: float) -> float:
    """Return the share of a core that the daemon takes."""
    before, began = _run_time_s(host.daemon_pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (_run_time_s(host.daemon_pid) - before) / (time.monotonic() - began)


def _run_time_s(pid: int) -> float:
    # Time on a processor in nanoseconds (Documentation/scheduler/sched-stats.rst).
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) * 1e-9


@contextlib.contextmanager
def _busy(namespace: Namespace) -> Iterator[None]:
    """Run processes that never sleep."""
    running = [namespace.popen(["sh", "-c", "while :; do :; done"]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for process in running:
            namespace.kill(process)
            process.wait(timeout=5)


if __name__ == "__main__":
    sys.exit(main())
