"""The other direction of `./dev bench bgp`: how soon a ToR's kernel has what we announce, and rest.

The ToR is BIRD; the clock runs from the call (or the start of the program) to its kernel's table.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from containerlab.measure.check import Check, at_most
from tests.support.bgp_receivers import Podroute, kernel_routes, node_address, tor_address
from tests.support.bird import Bird
from tests.support.netns import Namespace, join
from tests.support.router import Neighbor, RouterConfig
from tests.support.speaker_host import SpeakerHost
from tests.support.wait import wait_until

OWN = "11.255.1.0/24"


class Rig:
    """A node and two ToRs with BIRD."""

    def __init__(self, stack: ExitStack) -> None:
        self.node = Namespace("node")
        stack.callback(self.node.close)
        self.tors = []
        for index in (1, 2):
            tor = Namespace(f"tor{index}")
            stack.callback(tor.close)
            join(tor, "node", self.node, f"eth{index}")
            tor.run(["ip", "address", "add", f"{tor_address(4, index)}/31", "dev", "node"])
            link = f"eth{index}"
            self.node.run(["ip", "address", "add", f"{node_address(4, index)}/31", "dev", link])
            neighbor = Neighbor(address=node_address(4, index), remote_asn=65201)
            config = RouterConfig(
                asn=65100 + index, router_id=f"10.255.0.{index}", neighbors=[neighbor]
            )
            bird = Bird(tor, config)
            bird.start()
            stack.callback(bird.stop)
            self.tors.append(tor)

    def peers(self) -> list[dict[str, object]]:
        return [
            {"name": f"tor{i}", "address": tor_address(4, i), "remote_asn": 65100 + i}
            for i in (1, 2)
        ]

    def until(self, number: int) -> float:
        """Return when the first ToR's kernel has this number of routes."""
        end = time.monotonic() + 30
        while kernel_routes(self.tors[0].pid, 4) != number:
            if time.monotonic() > end:
                raise TimeoutError("the ToR's kernel does not follow")
            time.sleep(0.0005)
        return time.monotonic()


def announcing(*, quick: bool) -> list[Check]:
    """Return the checks."""
    starts, idle = agent(rounds=1 if quick else 3, idle_s=4 if quick else 15)
    changes, bulk = speaker(changes=20 if quick else 100, rounds=1 if quick else 3)
    return [
        Check(
            name="announce_1000_s",
            value=round(median(bulk), 3),
            unit="s",
            bound=at_most(0.5),
            samples=bulk,
        ),
        Check(
            name="one_change_ms",
            value=round(median(changes) * 1e3, 2),
            unit="ms",
            bound=at_most(5),
            samples={"p99": round(sorted(changes)[int(0.99 * len(changes)) - 1] * 1e3, 2)},
        ),
        Check(
            name="start_to_tor_fib_ms",
            value=round(median(starts) * 1e3),
            unit="ms",
            bound=at_most(800),
            samples=[round(s * 1e3) for s in starts],
        ),
        Check(
            name="idle_cpu_percent",
            value=round(sum(idle.values()), 2),
            unit="% of a core",
            bound=at_most(3),
            samples=idle,
        ),
    ]


def agent(*, rounds: int, idle_s: float) -> tuple[list[float], dict[str, float]]:
    """Start the whole agent; return seconds until the ToR has its CIDR, and its rest."""
    starts: list[float] = []
    idle: dict[str, float] = {}
    for _ in range(rounds):
        with ExitStack() as stack:
            rig = Rig(stack)
            before = kernel_routes(rig.tors[0].pid, 4)
            podroute = Podroute()
            stack.callback(podroute.stop)
            began = time.monotonic()
            podroute.start(rig.node, 4)
            starts.append(rig.until(before + 1) - began)
            if not idle:
                time.sleep(2)
                idle = _rest(podroute.pids(), idle_s)
    return starts, idle


def _rest(pids: list[int], idle_s: float) -> dict[str, float]:
    before = [_cpu_s(pid) for pid in pids]
    time.sleep(idle_s)
    names = ("agent", "speaker", *(f"helper{i}" for i in range(9)))
    return {
        name: round(100 * (_cpu_s(pid) - start) / idle_s, 2)
        for name, pid, start in zip(names, pids, before, strict=False)
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def speaker(*, changes: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return seconds for each single change, and for each 1,000 networks at once."""
    single: list[float] = []
    bulk: list[float] = []
    thousand = [f"10.{i >> 8}.{i & 255}.0/24" for i in range(1000)]
    with ExitStack() as stack:
        rig = Rig(stack)
        host = SpeakerHost(rig.node, receive="fast")
        stack.callback(host.close)
        base = kernel_routes(rig.tors[0].pid, 4)
        host.configure(rig.peers(), [OWN])
        host.wait_established()
        rig.until(base + 1)
        for number in range(changes):
            networks = [OWN, "11.255.2.0/24"] if number % 2 == 0 else [OWN]
            began = time.monotonic()
            host.configure(rig.peers(), networks)
            wanted = base + len(networks)
            single.append(rig.until(wanted) - began)
        for _ in range(rounds):
            host.configure(rig.peers(), [OWN])
            rig.until(base + 1)
            wait_until(lambda: host.state()["settled"], deadline_s=10, what="settled")
            began = time.monotonic()
            host.configure(rig.peers(), [OWN, *thousand])
            bulk.append(rig.until(base + 1001) - began)
    return single, [round(value, 3) for value in bulk]
