"""What the demo takes away from the cluster: the API server, and every ToR."""

from __future__ import annotations

import time
from typing import Any, Final

from containerlab.demo.fabric import FAMILIES, NODES, Host, wait_for
from containerlab.demo.kubernetes_api import ADDRESS, PORT, condition
from containerlab.demo.kubernetes_cluster import Cluster
from containerlab.demo.kubernetes_traffic import end, faults_of, ring, under
from containerlab.demo.pod import Pod
from containerlab.measure.check import Check, exactly
from containerlab.runtime.namespace import Connection

REACHED: Final = "reached"
API_DOWN_S: Final = 4.0
CLOCK: Final = 20
"""During the ToRs' outage kubelet's clock runs so much faster: 30 s without an answer are 1.5 s."""
TORS_DOWN_S: Final = 6.0


def check_api_down(cluster: Cluster) -> tuple[Check, Check]:
    """Take the API server away; pods start and stop, an agent is replaced, and nothing is lost."""
    started: dict[str, str] = {}
    wanted = 0
    with under(cluster, list(ring(cluster))) as (traffic, faults):
        cluster.api.do("down")
        try:
            until = time.monotonic() + API_DOWN_S
            for host in cluster.hosts:
                for number in (1, 2):
                    wanted += 1
                    pod = cluster.make_pod(host, f"{host.name}-api-down-{number}")
                    started[pod.name] = _reached(host, pod)
                    cluster.remove_pod(pod)
            # Also for an agent that starts meanwhile: it remembers.
            cluster.crash_agent(NODES[1])
            time.sleep(max(0.0, until - time.monotonic()))
            for host in cluster.hosts:
                faults.extend(_answered(host))
        finally:
            cluster.api.do("up")
        results = end(cluster, traffic, faults)
    for name in NODES:
        wait_for(
            lambda n=name: cluster.why_not_schedulable(n),  # type: ignore[misc]
            deadline_s=15,
            what=f"{name} takes pods",
        )
    lost = Check(
        name="api_down_lost",
        value=sum(result.lost for result in results),
        unit="packets",
        bound=exactly(0),
        samples=[result.to_sample() for result in results],
        faults=(*faults_of(results), *faults),
    )
    pods = Check(
        name="api_down_pods_started",
        value=sum(1 for word in started.values() if word == REACHED),
        unit="pods",
        bound=exactly(wanted),
        samples=started,
    )
    return lost, pods


def _reached(host: Host, pod: Pod) -> str:
    """Ping a pod from its node in both families."""
    for family in FAMILIES:
        argv = ["ping", "-c", "1", "-W", "1", pod.address(family)]
        told = host.node.run(argv, check=False).stdout
        if " 0% packet loss" not in told:
            return told
    return REACHED


def _answered(host: Host) -> list[str]:
    """Return a fault if the API server answers after all: then nothing was measured."""
    connection = Connection(host.node.pid, (ADDRESS, PORT))
    try:
        connection.connect()
    except OSError:
        return []
    connection.close()
    return [f"{host.name}: the API server was not away"]


def check_tors_down(cluster: Cluster) -> Check:
    """Cut every node from every ToR; kubelet must have no reason to restart anything."""
    before = cluster.restarts()
    links = [
        cluster.lab.nodes[tor.node.name].interface(f"eth{number}")
        for tor in cluster.tors
        for number in (1, 2, 3)
    ]
    told: dict[str, Any] = {}
    faults: list[str] = []
    for kubelet in cluster.kubelets.values():
        kubelet.clock = CLOCK
    for link in links:
        link.down()
    try:
        start = time.monotonic()
        for host in cluster.hosts:
            wait_for(
                lambda n=host.name: _unavailable(cluster, n),  # type: ignore[misc]
                deadline_s=20,
                what=f"{host.name} says that its network is unavailable",
            )
            said = condition(cluster.api.node(host.name), "NetworkUnavailable")
            told[host.name] = f"{said['reason']}: {said['message']}"
            pod = cluster.make_pod(host, f"{host.name}-local")
            if (word := _reached(host, pod)) != REACHED:
                faults.append(f"{host.name}: a local pod started and was not reached: {word}")
            cluster.remove_pod(pod)
        time.sleep(max(0.0, TORS_DOWN_S - (time.monotonic() - start)))
        lasted = (time.monotonic() - start) * CLOCK
    finally:
        for link in links:
            link.up()
        for kubelet in cluster.kubelets.values():
            kubelet.clock = 1
    for host in cluster.hosts:
        cluster.wait_whole(host, deadline_s=40)
        wait_for(
            lambda n=host.name: cluster.why_not_schedulable(n),  # type: ignore[misc]
            deadline_s=15,
            what=f"{host.name} takes pods again",
        )
    return Check(
        name="tors_down_restarts",
        value=cluster.restarts() - before,
        unit="containers",
        bound=exactly(0),
        samples={"outage_s on kubelet's clock": round(lasted), "said": told},
        faults=tuple(faults),
    )


def _unavailable(cluster: Cluster, name: str) -> str:
    said = condition(cluster.api.node(name), "NetworkUnavailable")
    return "" if said.get("status") == "True" and said.get("message") else f"{dict(said)}"
