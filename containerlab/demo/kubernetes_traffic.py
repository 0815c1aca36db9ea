"""Sixteen flows of 500 packets a second between all nodes, over routes that are fresh."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from containerlab.demo.fabric import FAMILIES
from containerlab.demo.kubernetes_cluster import Cluster
from containerlab.demo.pod import Pod
from containerlab.measure.flows import Group, GroupResult, Traffic
from containerlab.measure.place import Place

RATE: Final = 500.0
FLOWS: Final = 16
BEFORE_S: Final = 0.5
AFTER_S: Final = 1.0


def ring(cluster: Cluster) -> Iterator[Group]:
    """Sixteen flows that between them enter and leave every node in both families."""
    one, two, three = (host.pods[0] for host in cluster.hosts)
    pairs: tuple[tuple[Place, Pod], ...] = (
        (one, two),
        (two, three),
        (three, one),
        (cluster.client, one),
    )
    for number, (source, target) in enumerate(pairs):
        family = FAMILIES[number % 2]
        yield Group(
            name=f"{source.name} to {target.name}, IPv{family}",
            source=source,
            target=target,
            address=target.address(family),
            flows=FLOWS // len(pairs),
            rate=RATE,
        )


@contextmanager
def under(cluster: Cluster, groups: Sequence[Group]) -> Iterator[tuple[Traffic, list[str]]]:
    """Run traffic over fresh routes; the list takes what would make its numbers worthless."""
    faults = [
        f"before: {why}" for h in cluster.hosts if (why := cluster.why_not_fresh(h, since_epoch=0))
    ]
    with Traffic(groups) as traffic:
        traffic.go()
        time.sleep(BEFORE_S)
        yield traffic, faults


def end(cluster: Cluster, traffic: Traffic, faults: list[str]) -> tuple[GroupResult, ...]:
    """End the traffic and count; the routes must be fresh on both ToRs at the end too."""
    time.sleep(AFTER_S)
    results = traffic.stop()
    for host in cluster.hosts:
        if why := cluster.why_not_fresh(host, since_epoch=0):
            faults.append(f"at the end: {why}")
    return results


def faults_of(results: Sequence[GroupResult]) -> tuple[str, ...]:
    """Return why the numbers would prove nothing."""
    return tuple(fault for result in results for fault in result.faults())
