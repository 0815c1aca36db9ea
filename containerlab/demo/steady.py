"""Checks of the fabric at rest: sessions, start, reachability, sources, both uplinks."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from containerlab.demo.fabric import CLIENT_ADDRESSES, FAMILIES, Fabric, Host, wait_for
from containerlab.demo.tor import RouteWatch, packets_sent
from containerlab.measure.check import Check, at_most, exactly
from containerlab.measure.flows import LEAST_SENT, Group, Traffic
from containerlab.measure.pings import COUNT, ping_all
from containerlab.measure.sources import Question, ask, servers

START_BOUND_MS = 1000
ECMP_S = 0.6
# A leg counts as used if it carried at least this part of the packets.
LEAST_SHARE = 0.05


def start_daemons(fabric: Fabric) -> Check:
    """Start all daemons, node by node; measure agent start to pod CIDR in each ToR's kernel.

    A start's time is that of the slowest ToR and family; the value is the median of the nodes.
    """
    samples: dict[str, float] = {}
    slowest: list[float] = []
    for host in fabric.hosts:
        host.cni.start()
        with ExitStack() as stack:
            watches = [stack.enter_context(RouteWatch(tor)) for tor in fabric.tors]
            started = host.agent.start()
            wait_for(
                lambda host=host, watches=watches: _unseen(host, watches),  # type: ignore[misc]
                deadline_s=30,
                what=f"{host.name}'s pod CIDRs in the ToRs' kernels",
            )
            took = {
                f"{host.name} {network} {watch.tor.node.name}": round((moment - started) * 1000, 1)
                for watch in watches
                for network in host.pod_cidrs
                if (moment := watch.added(network)) is not None
            }
        samples |= took
        slowest.append(max(took.values()))
    return Check(
        name="start_to_tor_fib_ms",
        value=statistics.median(slowest),
        unit="ms",
        bound=at_most(START_BOUND_MS),
        samples=samples,
    )


def _unseen(host: Host, watches: list[RouteWatch]) -> str:
    assert host.agent.pid  # a daemon that ended says so now, not at the deadline
    missing = [
        f"{network} on {watch.tor.node.name}"
        for watch in watches
        for network in host.pod_cidrs
        if watch.added(network) is None
    ]
    return f"no {', '.join(missing)}" if missing else ""


def check_sessions(fabric: Fabric) -> Check:
    """Count the sessions that `podroute peers` and the ToR both call established."""
    samples: dict[str, str] = {}
    up = 0
    established = frozenset.union(*(tor.established() for tor in fabric.tors))
    for host in fabric.hosts:
        peers = json.loads(host.podroute("peers", "-o", "json"))["peers"]
        states = {peer["address"]: peer["state"] for peer in peers}
        for address in map(str, host.session_addresses):
            state = states.get(address, "unknown to the agent")
            samples[f"{host.name} to {address}"] = state
            up += state == "established"
    wanted = sum(len(host.session_addresses) for host in fabric.hosts)
    # The links are /31 and /127: the node stands one above its ToR.
    nodes = {str(address + 1) for host in fabric.hosts for address in host.session_addresses}
    missing = sorted(nodes - established)
    faults = [f"not established in the ToRs' own view: {', '.join(missing)}"] if missing else []
    return Check(
        name="sessions_established",
        value=up,
        unit="sessions",
        bound=exactly(wanted),
        samples=samples,
        faults=tuple(faults),
    )


def check_pings(fabric: Fabric, *, name: str = "ping_lost") -> Check:
    """Ping from every pod to every pod, itself included, in both families.

    An answer that came back is counted by whoever asked: the receiver of the answer.
    """
    addresses = [pod.address(family) for family in FAMILIES for pod in fabric.pods]
    with ThreadPoolExecutor(max_workers=3) as pool:
        results = list(pool.map(lambda pod: ping_all(pod, addresses), fabric.pods))
    flat = [result for row in results for result in row]
    bad = [f"{r.source} to {r.address}: {r.received} of {r.sent}" for r in flat if r.lost]
    sent = sum(result.sent for result in flat)
    faults = [fabric.why_not_fresh(host, since_epoch=0) for host in fabric.hosts]
    if sent < LEAST_SENT * COUNT * len(flat):
        faults.append(f"only {sent} of {COUNT * len(flat)} requests sent")
    return Check(
        name=name,
        value=sum(result.lost for result in flat),
        unit="packets",
        bound=exactly(0),
        samples={"pairs": len(flat), "sent": sent, "lossy": bad},
        faults=tuple(filter(None, faults)),
    )


def _questions(fabric: Fabric) -> Iterator[Question]:
    """Every kind of connection whose source the other end must see unchanged."""
    one, two, three = fabric.hosts
    first, second = one.pods
    across = two.pods[0]
    for family in FAMILIES:
        own = first.address(family)
        for name, asker, address, expected in (
            ("pod to pod, same node", second, own, second.address(family)),
            ("pod to pod, other node", across, own, across.address(family)),
            ("node to its own pod", one.node, own, one.address(family)),
            ("node to a pod elsewhere", two.node, own, two.address(family)),
            ("pod to its own node", first, one.address(family), own),
            ("pod to another node", first, three.address(family), own),
            ("outside client to pod", fabric.client, own, CLIENT_ADDRESSES[family]),
        ):
            yield Question(
                name=f"{name}, IPv{family}", asker=asker, address=address, expected=expected
            )


def check_sources(fabric: Fabric) -> Check:
    """Connect over TCP in every direction; the receiver tells whom it sees."""
    questions = tuple(_questions(fabric))
    one, _, three = fabric.hosts
    with servers((one.pods[0], one.node, three.node)):
        answers = ask(questions)
    return Check(
        name="source_kept",
        value=sum(answer.kept for answer in answers),
        unit="connections",
        bound=exactly(len(questions)),
        samples=[answer.to_sample() for answer in answers],
    )


def check_legs(fabric: Fabric) -> Check:
    """Send 16 flows from pod to pod and from the client to a pod; see which uplinks carry them."""
    one, two, _ = fabric.hosts
    target = two.pods[0]
    samples: dict[str, dict[str, int]] = {}
    used = []
    faults: list[str] = []
    for source, node in ((one.pods[0], one.node), (fabric.client, fabric.client)):
        for family in FAMILIES:
            group = Group(name="legs", source=source, target=target, address=target.address(family))
            with Traffic([group]) as traffic:
                before = packets_sent(node)
                traffic.go()
                time.sleep(ECMP_S)
                (result,) = traffic.stop()
                counts = {name: count - before[name] for name, count in packets_sent(node).items()}
            what = f"{source.name} to {target.name}, IPv{family}"
            samples[what] = dict(counts)
            received = sum(flow.received for flow in result.flows)
            if not received:
                faults.append(f"{what}: nothing arrived, so nothing was measured")
            enough = LEAST_SHARE * max(received, 1)
            used.append(sum(1 for count in counts.values() if count > enough))
    return Check(
        name="ecmp_legs_used",
        value=min(used),
        unit="uplinks",
        bound=exactly(2),
        samples=dict(samples),
        faults=tuple(faults),
    )
