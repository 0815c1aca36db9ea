"""The lost link of `./dev bench failover`: one of two legs of 10,000 routes loses its carrier.

Two raw speakers announce the same 10,000 routes to one node; behind both stands a sink that has all
of their addresses. Flows go to addresses all over the table. The far end of one leg is set down;
the value is the longest silence of any flow as the sink sees it. podroute and BIRD take turns.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from statistics import median

from containerlab.measure.check import Check, Sample, at_most
from containerlab.measure.flows import Group, Traffic
from tests.bench.bench_bgp import SMALL, Tors, settle, until
from tests.support.bgp_receivers import Bird, Podroute, Receiver, kernel_routes
from tests.support.netns import Namespace, join
from tests.support.raw_speaker import prefixes

LINK_LOSS_MS = 40
LINK_LOSS_BIRD = 0.5
FLOWS = 40
RATE = 200.0
"""Packets a second on each flow: silences are told to 5 ms."""
BEFORE_S = 0.7
AFTER_S = 1.5
LEAST_SHARE = 0.2


class Sink:
    """Where the traffic goes, joined to both ToRs."""

    def __init__(self, tors: Tors, stack: ExitStack) -> None:
        self.namespace = Namespace("sink")
        stack.callback(self.namespace.close)
        for index, tor in enumerate(tors.namespaces, 1):
            _no_reverse_path_filter(tor)
            _no_reverse_path_filter(self.namespace)
            join(tor, "sink", self.namespace, f"tor{index}")
            tor.write_sysctl("net.ipv4.ip_forward", 1)
            tor.run(["ip", "address", "add", f"10.253.{index}.2/31", "dev", "sink"])
            here = ["dev", f"tor{index}"]
            self.namespace.run(["ip", "address", "add", f"10.253.{index}.3/31", *here])
            # A next hop, not the link: thousands of addresses must not fill the neighbor table.
            tor.run(["ip", "route", "add", "10.0.0.0/8", "via", f"10.253.{index}.3"])
        self.namespace.run(["ip", "route", "add", "local", "10.0.0.0/9", "dev", "lo"])


def link_loss(*, rounds: int) -> list[Check]:
    """Return the checks."""
    silences: dict[str, list[float]] = {"podroute": [], "bird": []}
    faults: list[str] = []
    with ExitStack() as stack:
        tors = Tors(SMALL.family, stack)
        sink = Sink(tors, stack)
        for _ in range(rounds):
            for receiver in (Podroute(), Bird()):
                silence_ms, wrong = _cut_one(tors, sink, receiver)
                silences[receiver.name].append(round(silence_ms, 1))
                faults += wrong
    ours, theirs = (median(silences[name]) for name in ("podroute", "bird"))
    samples: Sample = {f"{name}_ms": values for name, values in silences.items()}
    return [
        Check(
            name="link_loss_10k_ms",
            value=ours,
            unit="ms",
            bound=at_most(LINK_LOSS_MS),
            samples=samples,
            faults=tuple(faults),
        ),
        Check(
            name="link_loss_10k_bird",
            value=round(ours / theirs, 2),
            unit="x",
            bound=at_most(LINK_LOSS_BIRD),
            samples=samples,
            faults=tuple(faults),
        ),
    ]


def _cut_one(tors: Tors, sink: Sink, receiver: Receiver) -> tuple[float, list[str]]:
    """Let one receiver have all routes, cut the first leg; return the silence and what is wrong."""
    with tors.node() as node:
        _no_reverse_path_filter(node)
        node.write_sysctl("net.ipv4.fib_multipath_hash_policy", 1)
        for raw in tors.raws:
            raw.prepare(SMALL.name, count=SMALL.routes, distinct=SMALL.distinct)
        receiver.start(node, SMALL.family)
        try:
            for raw in tors.raws:
                raw.wait_established()
            time.sleep(0.5)  # the session's first messages
            before = kernel_routes(node.pid, SMALL.family)
            for raw in tors.raws:
                raw.send(SMALL.name)
            until(node, SMALL, lambda n: n >= before + SMALL.routes)
            settle(node, SMALL)
            return _under_traffic(tors, sink, node, receiver.name)
        except TimeoutError as error:
            states = [raw.state() for raw in tors.raws]
            raise TimeoutError(f"{receiver.name}: {error}; peers: {states}") from error
        finally:
            receiver.stop()


def _under_traffic(tors: Tors, sink: Sink, node: Namespace, name: str) -> tuple[float, list[str]]:
    every = prefixes(SMALL.family, SMALL.routes)
    step = SMALL.routes // FLOWS
    groups = [
        Group(
            name=str(every[i * step]),
            source=node,
            target=sink.namespace,
            address=str(every[i * step].to_network()[1]),
            flows=1,
            rate=RATE,
        )
        for i in range(FLOWS)
    ]
    with Traffic(groups) as traffic:
        idle = sent_on(node, "eth1")
        traffic.go()
        time.sleep(BEFORE_S)
        carried = sent_on(node, "eth1") - idle
        tors.namespaces[0].run(["ip", "link", "set", "node", "down"])
        time.sleep(AFTER_S)
        moved = sent_on(node, "eth1")
        time.sleep(0.1)
        stayed = sent_on(node, "eth1") - moved
        results = traffic.stop()
    faults = [f"{name}: {fault}" for fault in results[0].faults()]
    if carried < LEAST_SHARE * FLOWS * RATE * BEFORE_S:
        faults.append(f"{name}: the leg that was cut carried only {carried} packets before")
    if stayed > 0:
        faults.append(f"{name}: the leg that was cut is still used at the end")
    return max(result.worst_gap_ms for result in results), faults


def sent_on(namespace: Namespace, link: str) -> int:
    """Return how many packets a link of the namespace has sent."""
    path = f"/sys/class/net/{link}/statistics/tx_packets"
    return int(namespace.run(["cat", path]).stdout)


def _no_reverse_path_filter(namespace: Namespace) -> None:
    for scope in ("all", "default"):
        namespace.write_sysctl(f"net.ipv4.conf.{scope}.rp_filter", 0)
