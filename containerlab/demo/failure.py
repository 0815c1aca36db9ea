"""Checks that break something: a link, the daemons, graceful restart, the announcement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from containerlab.demo.daemon import DaemonError
from containerlab.demo.fabric import CONFIG, FAMILIES, TOPOLOGY, Fabric, Host, wait_for
from containerlab.demo.tor import RouteWatch, packets_sent
from containerlab.measure.check import Check, at_least, at_most, exactly
from containerlab.measure.flows import Group, GroupResult, Traffic

LINK_CUT_BOUND_MS = 300
WITHDRAW_BOUND_MS = 1000
BEFORE_S = 1.0
AFTER_CUT_S = 2.0
# Packets on the link in the second before it is cut; 64 flows send 6400.
LEAST_CARRIED = 500
AFTER_RESTART_S = 1.5
# What an init system takes to notice and start again.
RESTART_AFTER_S = 0.5
# 200 packets a second in each family and direction, spread over 16 source ports.
KILL_RATE = 200 / 16
CONTROL_CONFIG = "/run/demo/no-graceful-restart.yaml"


def check_link_cut(fabric: Fabric) -> Check:
    """Set a ToR's link to node2 down under traffic to node2; the longest silence of any flow.

    The hard direction: node1 still has both its uplinks and must hear of the loss.
    """
    one, two, _ = fabric.hosts
    groups = list(_pod_and_node_groups(one, two))
    link = fabric.lab.nodes["tor1"].interface("eth2")
    try:
        with Traffic(groups) as traffic:
            before = packets_sent(link.node)[link.name]
            traffic.go()
            time.sleep(BEFORE_S)
            carried = packets_sent(link.node)[link.name] - before
            link.down()
            time.sleep(AFTER_CUT_S)
            results = traffic.stop()
    finally:
        link.up()
    for host in fabric.hosts:
        fabric.wait_whole(host, deadline_s=40)
    faults = _faults(results)
    if carried < LEAST_CARRIED:
        faults += (f"the link that was cut carried only {carried} packets before",)
    return Check(
        name="link_cut_gap_ms",
        value=round(max(result.worst_gap_ms for result in results), 1),
        unit="ms",
        bound=at_most(LINK_CUT_BOUND_MS),
        samples=[{"carried by the link before": carried}, *(r.to_sample() for r in results)],
        faults=faults,
    )


def _pod_and_node_groups(one: Host, two: Host) -> Iterator[Group]:
    for family in FAMILIES:
        for source, target, address in (
            (one.pods[0], two.pods[0], two.pods[0].address(family)),
            (one.node, two.node, two.address(family)),
        ):
            name = f"{source.name} to {target.name}, IPv{family}"
            yield Group(name=name, source=source, target=target, address=address)


def check_kill(fabric: Fabric) -> Check:
    """Kill speaker and agent of node1 with -9 under traffic and start the agent again."""
    results, faults = _kill_under_traffic(fabric, fabric.hosts[0])
    return Check(
        name="speaker_agent_kill_lost",
        value=sum(result.lost for result in results),
        unit="packets",
        bound=exactly(0),
        samples=[result.to_sample() for result in results],
        faults=(*_faults(results), *faults),
    )


def check_control(fabric: Fabric) -> Check:
    """Do the same with graceful restart off in the agent's configuration: packets must be lost."""
    host = fabric.hosts[0]
    since = time.time()
    text = host.node.run(["cat", CONFIG]).stdout
    changed = "\n".join(
        "graceful_restart_s: 0" if line.startswith("graceful_restart_s:") else line
        for line in text.splitlines()
    )
    if changed == text.rstrip("\n"):
        raise DaemonError(f"{TOPOLOGY.parent.name}: {CONFIG} has no graceful_restart_s to turn off")
    host.node.run(["sh", "-c", f"cat > {CONTROL_CONFIG}"], input=changed + "\n")
    host.agent.terminate()
    host.agent.start("router", "--config", CONTROL_CONFIG)
    fabric.wait_fresh(host, since_epoch=since)
    results, faults = _kill_under_traffic(fabric, host, "router", "--config", CONTROL_CONFIG)
    since = time.time()
    host.agent.terminate()
    host.agent.start()
    fabric.wait_fresh(host, since_epoch=since)
    return Check(
        name="control_lost",
        value=sum(result.lost for result in results),
        unit="packets",
        bound=at_least(1),
        samples=[result.to_sample() for result in results],
        faults=tuple(faults),
    )


def _kill_under_traffic(
    fabric: Fabric, host: Host, *arguments: str
) -> tuple[tuple[GroupResult, ...], tuple[str, ...]]:
    """Kill, restart with *arguments*, and wait for fresh routes, all under traffic."""
    other = fabric.hosts[1]
    with Traffic(list(_both_ways(host, other))) as traffic:
        speakers = host.agent.speaker_pids()
        traffic.go()
        time.sleep(BEFORE_S)
        killed = time.time()
        host.agent.kill(*speakers)
        time.sleep(RESTART_AFTER_S)
        host.agent.start(*arguments)
        fabric.wait_fresh(host, since_epoch=killed)
        time.sleep(AFTER_RESTART_S)
        results = traffic.stop()
    stale = fabric.why_not_fresh(host, since_epoch=killed)
    return results, (f"at the end: {stale}",) if stale else ()


def _both_ways(host: Host, other: Host) -> Iterator[Group]:
    for family in FAMILIES:
        for source, target in (
            (other.pods[0], host.pods[0]),
            (host.pods[0], other.pods[0]),
        ):
            yield Group(
                name=f"{source.name} to {target.name}, IPv{family}",
                source=source,
                target=target,
                address=target.address(family),
                rate=KILL_RATE,
            )


def check_withdraw(fabric: Fabric) -> Check:
    """Let node3 leave for good: `podroute stop --withdraw` until both ToRs' kernels forgot it."""
    host = fabric.hosts[2]
    with ExitStack() as stack:
        watches = [stack.enter_context(RouteWatch(tor)) for tor in fabric.tors]
        start = time.monotonic()
        host.podroute("stop", "--withdraw")
        wait_for(
            lambda: _still_there(fabric, host),
            deadline_s=30,
            what=f"{host.name}'s pod CIDRs gone from the ToRs",
        )
        moments = {
            f"{network} {watch.tor.node.name}": watch.removed(network)
            for watch in watches
            for network in host.pod_cidrs
        }
    host.agent.wait_ended("stop --withdraw")
    samples = {key: round((at - start) * 1000, 1) for key, at in moments.items() if at is not None}
    faults = tuple(f"never saw {key} go" for key, at in moments.items() if at is None)
    return Check(
        name="withdraw_ms",
        value=max(samples.values()),
        unit="ms",
        bound=at_most(WITHDRAW_BOUND_MS),
        samples=samples,
        faults=faults,
    )


def _still_there(fabric: Fabric, host: Host) -> str:
    there = [
        f"{network} on {tor.node.name}"
        for tor in fabric.tors
        for network in host.pod_cidrs
        if tor.kernel_has(network)
    ]
    return ", ".join(there)


def _faults(results: tuple[GroupResult, ...]) -> tuple[str, ...]:
    return tuple(fault for result in results for fault in result.faults())
