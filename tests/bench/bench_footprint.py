"""What podroute costs a node: memory with 1,000 learned routes, processor time at rest.

`./dev bench footprint [--json] [--quick]`: the dual-tor fabric; node2 announces 1,000 pod CIDRs,
node1 learns them from both ToRs. Memory is the resident set of each process of node1 (shared pages
count in each, so the sums err on the high side); processor time is what the kernel charged them
while nothing happened.
"""

from __future__ import annotations

import argparse
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

import yaml

from containerlab.demo.fabric import TOPOLOGY, Fabric, Host, wait_for
from containerlab.measure.check import Check, all_ok, at_most, render_json, render_table
from containerlab.netlab import Lab
from containerlab.netlab.node import Node

ROUTES = 1000
RSS_CNI_MB = 48
RSS_ROUTING_MB = 110
IDLE_PERCENT = 3
_TICKS_S = 100  # USER_HZ of every Linux port
_CONFIG = "/run/footprint.yaml"


class Usage(NamedTuple):
    """One process of the node."""

    command: str
    rss_mb: float
    cpu_s: float


def main() -> int:
    """Measure, print, return 0 only if every check is ok."""
    parser = argparse.ArgumentParser(prog="./dev bench footprint", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    checks = measure(idle_s=10 if options.quick else 30)
    sys.stdout.write(render_json(checks) if options.json else render_table(checks))
    return 0 if all_ok(checks) else 1


def measure(*, idle_s: float) -> list[Check]:
    """Return the checks of one run."""
    with Lab.up(TOPOLOGY) as lab:
        fabric = Fabric(lab)
        fabric.wait_routers()
        learner, announcer = fabric.hosts[0], fabric.hosts[1]
        _announce(announcer)
        learner.cni.start()
        learner.agent.start()
        wait_for(lambda: _missing(learner), deadline_s=60, what=f"{ROUTES} routes on node1")
        pids = {
            "cni": [learner.cni.pid],
            "routing": [learner.agent.pid, *_descendants(learner.agent.pid)],
        }
        before = {name: [_usage(pid) for pid in found] for name, found in pids.items()}
        time.sleep(idle_s)
        after = {name: [_usage(pid) for pid in found] for name, found in pids.items()}
        missing = _missing(learner)
    spent = sum(
        end.cpu_s - start.cpu_s
        for name in pids
        for start, end in zip(before[name], after[name], strict=True)
    )
    faults = (f"the routes did not stay: {missing}",) if missing else ()
    return [
        _memory("rss_cni_mb", after["cni"], RSS_CNI_MB, faults),
        _memory("rss_agent_and_speaker_mb", after["routing"], RSS_ROUTING_MB, faults),
        Check(
            name="idle_cpu_percent",
            value=round(100 * spent / idle_s, 2),
            unit="% of a core",
            bound=at_most(IDLE_PERCENT),
            samples={
                end.command: round(100 * (end.cpu_s - start.cpu_s) / idle_s, 2)
                for name in pids
                for start, end in zip(before[name], after[name], strict=True)
            },
            faults=faults,
        ),
    ]


def _memory(name: str, found: list[Usage], limit: int, faults: tuple[str, ...]) -> Check:
    return Check(
        name=name,
        value=round(sum(usage.rss_mb for usage in found), 1),
        unit="MB",
        bound=at_most(limit),
        samples={usage.command: usage.rss_mb for usage in found},
        faults=faults,
    )


def _announce(host: Host) -> None:
    """Start the agent with 1,000 pod CIDRs that collide with no other node's."""
    config = dict(host.config)
    taken = [IPv4Network("10.244.1.0/24"), IPv4Network("10.244.3.0/24")]
    blocks = [
        str(block)
        for block in IPv4Network("10.244.0.0/16").subnets(new_prefix=26)
        if not any(block.subnet_of(other) for other in taken)
    ]
    config["pod_cidrs"] = blocks[:ROUTES]
    _write(host.node, _CONFIG, yaml.safe_dump(config))
    host.agent.start("router", "--config", _CONFIG)


def _write(node: Node, path: str, text: str) -> None:
    node.run(["tee", path], input=text)


def _missing(host: Host) -> str:
    """Return "" if the kernel of the host has the routes, else how many it has."""
    shown = host.node.run(["ip", "-4", "route", "show", "proto", "74"]).stdout
    found = sum(line.startswith("10.244.") for line in shown.splitlines())
    return "" if found >= ROUTES else f"{found} of {ROUTES}"


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _usage(pid: int) -> Usage:
    process = Path(f"/proc/{pid}")
    words = (process / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
    command = next((Path(w).name for w in words[1:] if not w.startswith("-")), words[0])
    status = (process / "status").read_text()
    rss_kb = int(status.split("VmRSS:")[1].split()[0])
    # utime and stime are fields 14 and 15; the second field may hold spaces.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return Usage(
        f"{command}[{pid}]",
        round(rss_kb / 1024, 1),
        (int(fields[11]) + int(fields[12])) / _TICKS_S,
    )


if __name__ == "__main__":
    sys.exit(main())
