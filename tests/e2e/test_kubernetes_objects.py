"""Three nodes configured by objects alone, in the DaemonSet as it ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from containerlab.demo.fabric import NODES, TOPOLOGY, Host, wait_for
from containerlab.demo.kubernetes_checks import check_ready
from containerlab.demo.kubernetes_cluster import Cluster
from containerlab.demo.kubernetes_objects import (
    RESOURCES,
    configure_by_objects,
    said,
    status_of,
)
from containerlab.demo.kubernetes_removal import make_plain
from containerlab.netlab import Lab
from containerlab.runtime.cgroups import cgroups

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.needs("containerd", "ctr", "runc", "busybox", "openssl"),
    pytest.mark.timeout(300),
]
CHANGED = "tor1-v4"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three ready nodes without a document."""
    with cgroups() as parent, Lab.up(TOPOLOGY) as lab:
        cluster = Cluster(lab, parent)
        try:
            cluster.wait_routers()
            for host in cluster.hosts:
                make_plain(host)
            cluster.register_nodes()
            cluster.apply_manifests()
            configure_by_objects(cluster)
            assert check_ready(cluster).ok
            yield cluster
        finally:
            cluster.close()


def peers(host: Host) -> dict[str, dict[str, Any]]:
    shown = json.loads(host.podroute("peers", "-o", "json"))
    return {peer["name"]: peer for peer in shown["peers"]}


def why_not_established(host: Host) -> str:
    down = {n: p["state"] for n, p in peers(host).items() if p["state"] != "established"}
    return f"{host.name}: {down}" if down else ""


def sessions(host: Host) -> dict[str, tuple[str, int]]:
    return {name: (peer["since"], peer["times_down"]) for name, peer in peers(host).items()}


def test_nodes_come_up_and_say_so_in_their_status(cluster: Cluster) -> None:
    for host in cluster.hosts:

        def told(host: Host = host) -> str:
            status = status_of(cluster, host.name)
            states = {s["name"]: s["state"] for s in status.get("sessions", ())}
            conditions = said(status)
            if set(states.values()) != {"established"} or len(states) != 4:
                return f"{host.name}: {states}"
            return "" if {c[0] for c in conditions.values()} == {"True"} else f"{conditions}"

        wait_for(told, deadline_s=60, what="status")
        status = status_of(cluster, host.name)
        assert status["routes"]["installed"] > 0
        # Two pod CIDRs, two addresses of its own.
        assert status["routes"]["announced"] == 4
        families = [family for s in status["sessions"] for family in s["families"]]
        assert all(family["negotiated"] for family in families)
    # What BGPAdvertisement adds is on the wire.
    table = (
        cluster.tors[0]
        .node.run(["vtysh", "-c", "show bgp ipv4 unicast 10.244.1.0/24 json"], timeout_s=20)
        .stdout
    )
    assert "65200:7" in table


def test_a_patch_of_one_peer_resets_its_session_only(cluster: Cluster) -> None:
    host, other = cluster.hosts[0], cluster.hosts[1]
    before, elsewhere = sessions(host), sessions(other)
    path = f"{RESOURCES}/bgppeers/{host.name}-{CHANGED}"
    cluster.api.merge(path, {"spec": {"hold_time_s": 12}})

    def changed() -> str:
        shown = peers(host)[CHANGED]
        if (shown["state"], shown["hold_time_s"]) != ("established", 9):
            # FRR offers 9 s, the smaller one counts.
            return f"{shown['state']}, {shown['hold_time_s']}"
        return "" if shown["since"] != before[CHANGED][0] else "not reset yet"

    wait_for(changed, deadline_s=40, what="the session is there with its new hold time")
    after = sessions(host)
    assert {n: s for n, s in after.items() if n != CHANGED} == {
        n: s for n, s in before.items() if n != CHANGED
    }
    assert sessions(other) == elsewhere


def test_an_object_the_api_server_refuses_is_not_there(cluster: Cluster) -> None:
    path = f"{RESOURCES}/bgppeers/{NODES[0]}-{CHANGED}"
    for wrong in ({"hold_time_s": 2}, {"hold_time": 9}):
        with pytest.raises(RuntimeError, match="hold_time"):
            cluster.api.merge(f"{path}?fieldValidation=Strict", {"spec": wrong})


def test_a_bad_object_changes_nothing_and_is_told(cluster: Cluster) -> None:
    """What only the node can see: a filter that is not there."""
    host = cluster.hosts[0]
    for each in cluster.hosts:
        wait_for(lambda each=each: why_not_established(each), deadline_s=30, what="sessions")
    before = {each.name: sessions(each) for each in cluster.hosts}
    path = f"{RESOURCES}/bgppeers/{host.name}-{CHANGED}"
    cluster.api.merge(path, {"spec": {"import_filter": "nowhere"}})
    expected = f"BGPPeer {host.name}-{CHANGED}: spec.import_filter: no filter 'nowhere'"

    def told() -> str:
        shown = json.loads(host.podroute("status", "-o", "json"))
        if not any(expected in reason for reason in shown["reasons"]):
            return f"{shown['reasons']}"
        condition = said(status_of(cluster, host.name)).get("ConfigurationInForce", ("", ""))
        return "" if condition[0] == "False" and expected in condition[1] else f"{condition}"

    try:
        wait_for(told, deadline_s=40, what="status and condition name object and field")
        assert {each.name: sessions(each) for each in cluster.hosts} == before
        # It is this node's alone.
        other = said(status_of(cluster, NODES[1]))["ConfigurationInForce"]
        assert other == ("True", "")
        # An agent that starts now goes on with what was in force.
        cluster.replace_daemons(host.name)
        wait_for(lambda: why_not_established(host), deadline_s=30, what="sessions after a restart")
        shown = json.loads(host.podroute("status", "-o", "json"))
        assert any(expected in reason for reason in shown["reasons"])
        assert cluster.why_not_schedulable(host.name) == ""
    finally:
        cluster.api.merge(path, {"spec": {"import_filter": None}})

    def well() -> str:
        condition = said(status_of(cluster, host.name)).get("ConfigurationInForce", ("", ""))
        return "" if condition[0] == "True" else f"{condition}"

    wait_for(well, deadline_s=40, what="the condition after the repair")


def test_a_config_map_beside_objects_is_an_error_that_names_both(cluster: Cluster) -> None:
    host = cluster.hosts[1]
    before = sessions(host)
    cluster.configure(cluster.document())

    def told() -> str:
        condition = said(status_of(cluster, host.name)).get("ConfigurationInForce", ("", ""))
        names = "ConfigMap podroute" in condition[1] and "PodNetwork default" in condition[1]
        return "" if condition[0] == "False" and names else f"{condition}"

    try:
        wait_for(told, deadline_s=40, what="the condition names both")
        assert sessions(host) == before
    finally:
        cluster.api.merge(
            "/api/v1/namespaces/podroute/configmaps/podroute", {"data": {"config.yaml": None}}
        )
    wait_for(lambda: why_not_established(host), deadline_s=30, what="sessions")
