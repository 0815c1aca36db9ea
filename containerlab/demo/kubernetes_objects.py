"""The demo's cluster configured by objects alone: what its ConfigMap says, in their form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from containerlab.demo.kubernetes_api import URL, Object
from containerlab.demo.kubernetes_cluster import NAMESPACE, Cluster

GROUP_VERSION: Final = "podroute.dev/v1alpha1"
RESOURCES: Final = f"/apis/{GROUP_VERSION}"
PLURALS: Final = {
    "PodNetwork": "podnetworks",
    "BGPPeer": "bgppeers",
    "BGPAdvertisement": "bgpadvertisements",
}


def objects_of(cluster: Cluster) -> Iterator[Object]:
    """Give the objects that say what `Cluster.document` says."""
    document = cluster.document()
    announce = document.pop("announce")
    nodes = document.pop("nodes")
    yield _object("PodNetwork", "default", document)
    yield _object("BGPAdvertisement", "all", {**announce, "communities": ["65200:7"]})
    for block in nodes:
        for peer in block["peers"]:
            node = block["select"]["matchLabels"]["kubernetes.io/hostname"]
            yield _object("BGPPeer", f"{node}-{peer['name']}", {**peer, "select": block["select"]})


def configure_by_objects(cluster: Cluster) -> None:
    """Take the document out of the ConfigMap, and apply objects, strictly as kubectl does."""
    config_map = f"/api/v1/namespaces/{NAMESPACE}/configmaps/podroute"
    cluster.api.merge(config_map, {"data": {"api": URL, "config.yaml": None}})
    for each in objects_of(cluster):
        path = f"{RESOURCES}/{PLURALS[each['kind']]}?fieldValidation=Strict"
        cluster.api.request("POST", path, each)


def status_of(cluster: Cluster, node: str) -> Object:
    """Return the status that a node's agent wrote, {} if it has not yet."""
    listed = cluster.api.request("GET", f"{RESOURCES}/bgpnodestatuses")
    found = [each for each in listed["items"] if each["metadata"]["name"] == node]
    status: Object = found[0].get("status", {}) if found else {}
    return status


def said(status: Object) -> dict[str, tuple[str, str]]:
    """Return status and message of each condition."""
    return {c["type"]: (c["status"], c["message"]) for c in status.get("conditions", ())}


def _object(kind: str, name: str, spec: dict[str, Any]) -> Object:
    made: Object = yaml.safe_load(yaml.safe_dump(spec))
    return {
        "apiVersion": GROUP_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": made,
    }
