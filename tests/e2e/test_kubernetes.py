"""The DaemonSet as it ships, in containers on three nodes; its demo, and what it costs at rest."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerlab.demo.fabric import NODES, TOPOLOGY, wait_for
from containerlab.demo.kubernetes_api import condition
from containerlab.demo.kubernetes_checks import check_ready, outside_pid
from containerlab.demo.kubernetes_cluster import TAINT, Cluster
from containerlab.demo.kubernetes_removal import make_plain
from containerlab.netlab import Lab
from containerlab.runtime.cgroups import cgroups
from router.kube.status_object import STATUSES
from tests.support.wait import NotYetError, wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("containerd", "ctr", "runc", "busybox", "openssl"),
    pytest.mark.timeout(300),
]

DEV = Path(__file__).resolve().parents[2] / "dev"
CHECKS = {
    "nodes_ready",
    "pods_by_cri_ping_lost",
    "source_kept",
    "capabilities_beyond_manifest",
    "pod_replacement_lost",
    "control_lost",
    "api_down_lost",
    "api_down_pods_started",
    "tors_down_restarts",
    "uninstall_left_behind",
    "left_behind",
}
IDLE_S = 30.0
MOST_RSS_KB = 130_000


def test_the_demo_meets_its_bounds_within_two_minutes() -> None:
    start = time.monotonic()
    done = subprocess.run(
        [DEV, "demo", "--kubernetes", "--json"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    took = time.monotonic() - start
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    bad = [check for check in checks.values() if not check["ok"]]
    assert not bad, json.dumps(bad, indent=1) + done.stderr
    assert checks.keys() == CHECKS
    assert done.returncode == 0
    replaced = checks["pod_replacement_lost"]["samples"]["replacement_s"]
    # The ToRs keep a node's routes for 120 s.
    assert max(replaced.values()) < 60
    assert took < 120, done.stderr


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three ready nodes."""
    with cgroups() as parent, Lab.up(TOPOLOGY) as lab:
        cluster = Cluster(lab, parent)
        try:
            cluster.wait_routers()
            for host in cluster.hosts:
                make_plain(host)
            cluster.register_nodes()
            cluster.apply_manifests()
            assert check_ready(cluster).ok
            yield cluster
        finally:
            cluster.close()


def why_not_told(cluster: Cluster, name: str) -> str:
    """Return what BGPNodeStatus does not say yet of a node that is well, "" if all is told."""
    found = cluster.api.request("GET", f"{STATUSES}/{name}")
    uid = cluster.api.node(name)["metadata"]["uid"]
    assert [owner["uid"] for owner in found["metadata"]["ownerReferences"]] == [uid]
    status = found.get("status", {})
    said = {each["type"]: each["status"] for each in status.get("conditions", ())}
    peers = status.get("peers", {"established": 0, "configured": None})
    states = {session["state"] for session in status.get("sessions", ())}
    if set(said.values()) == {"True"} and peers["established"] == peers["configured"]:
        assert states == {"established"}
        assert status["routes"]["announced"] > 0
        return ""
    return f"{said}, {peers}, {status.get('reasons')}"


def test_agents_at_rest_hardly_ask_and_are_small(cluster: Cluster) -> None:
    for name in NODES:
        wait_for(lambda name=name: why_not_told(cluster, name), deadline_s=30, what="status")
    before = len(cluster.api.do("requests"))
    until = time.monotonic() + IDLE_S

    def passed() -> bool:
        if time.monotonic() < until:
            raise NotYetError("still measuring")
        return True

    wait_until(passed, deadline_s=IDLE_S + 5, what="the time of the measurement")
    requests = [
        entry
        for entry in cluster.api.do("requests")[before:]
        if entry["verb"] != "watch" and entry["user"] != "admin"
    ]
    asked = [entry for entry in requests if STATUSES not in entry["path"]]
    assert len(asked) <= len(NODES) * IDLE_S / 60, asked
    # Nothing changes; numbers that moved since the last write may come once.
    assert len(requests) - len(asked) <= len(NODES), requests
    for name in NODES:
        kubelet, pod = cluster.kubelets[name], cluster.daemons[name]
        router = next(each for each in pod.containers if each.spec["name"] == "router")
        inside = kubelet.containerd.pid(router.id)
        status = Path(
            f"/proc/{outside_pid(cluster.lab.nodes[name].pid, inside)}/status"
        ).read_text()
        (rss_kb,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert int(rss_kb) <= MOST_RSS_KB, name


def test_condition_and_taint_follow_the_sessions(cluster: Cluster) -> None:
    """Set after the hysteresis when the last session is gone, cleared when one is back."""
    name = NODES[0]
    links = [tor.node.interface("eth1") for tor in cluster.tors]
    for link in links:
        link.down()

    def said() -> str:
        node = cluster.api.node(name)
        taints = [t["key"] for t in node["spec"].get("taints") or ()]
        told = condition(node, "NetworkUnavailable")
        if told.get("status") == "True" and TAINT["key"] in taints:
            return ""
        return f"{dict(told)}, {taints}"

    try:
        wait_for(said, deadline_s=30, what="condition and taint")
        told = condition(cluster.api.node(name), "NetworkUnavailable")
        assert told["reason"] == "PodrouteTooFewSessions"
        assert "no session is established" in told["message"]
        # Kubelet asks every 2 s and believes the third answer.
        wait_for(
            lambda: "still ready" if cluster.daemons[name].is_ready else "",
            deadline_s=15,
            what="the pod is not ready",
        )
    finally:
        for link in links:
            link.up()
    wait_for(
        lambda: cluster.why_not_schedulable(name), deadline_s=40, what="condition and taint gone"
    )
    assert cluster.restarts() == 0


def test_a_wrong_configuration_changes_nothing(cluster: Cluster) -> None:
    cluster.configure({**cluster.document(), "local_asn_lable": "x"})
    host = cluster.hosts[1]

    def told() -> bool:
        shown = json.loads(host.podroute("status", "-o", "json"))
        if "local_asn_lable" not in json.dumps(shown):
            raise NotYetError(shown)
        return True

    wait_until(told, deadline_s=10, what="status names the wrong field")
    assert cluster.why_not_fresh(host, since_epoch=0) == ""
    assert cluster.why_not_schedulable(host.name) == ""
    cluster.configure(cluster.document())
