"""What the agent relies on of custom resources; as in test_contract_api.py.

On a real API server the CRDs of deploy/kustomize/base are installed if they are not there, and
stay.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from router.config.crd import definitions
from router.kube.client import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from router.kube.convert import config_object, items_of, name_of, resource_version
from router.kube.errors import RefusedError
from router.kube.farewell import remove_status
from router.kube.objects import COLLECTION
from router.kube.status_object import STATUSES
from router.reconcile.node_report import Report, Said
from tests.support.contract_api import ContractApi
from tests.support.wait import NotYetError, wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
AT = "2026-01-02T03:04:05Z"
REPORT = Report(
    status={
        "node": "n",
        "sessions": [{"name": "tor1", "state": "established", "remote_asn": 65101}],
        "reasons": [],
    },
    conditions=(Said("Ready", "True", "PodrouteReady"),),
)


def install(contract: ContractApi) -> None:
    """Make our resources known, and wait until the API server serves them."""
    for crd in definitions():
        try:
            contract.post(CRDS, crd)
        except RefusedError as error:
            if error.status != 409:
                raise

        def is_served(plural: str = crd["spec"]["names"]["plural"]) -> bool:
            try:
                contract.get(f"/apis/podroute.dev/v1alpha1/{plural}")
            except RefusedError as error:
                raise NotYetError(str(error)) from None
            return True

        wait_until(is_served, deadline_s=30, what="the resource is served")


def owned_status(contract: ContractApi) -> str:
    """Make a Node and its BGPNodeStatus; return their name."""
    name = f"podroute-contract-{uuid.uuid4().hex[:8]}"
    uid = contract.make_node(name)["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    made = contract.post(
        STATUSES,
        {
            "apiVersion": "podroute.dev/v1alpha1",
            "kind": "BGPNodeStatus",
            "metadata": {"name": name, "ownerReferences": [owner]},
            "status": {"node": "dropped"},
        },
    )
    assert "status" not in made
    assert made["metadata"]["ownerReferences"] == [owner]
    return name


def write_status(contract: ContractApi, name: str, status: Any) -> dict[str, Any]:
    patch = [{"op": "add", "path": "/status", "value": status}]
    return contract.ask("PATCH", f"{STATUSES}/{name}/status", patch, content_type=JSON_PATCH)


def refused(contract: ContractApi, status: int, method: str, path: str, **rest: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        contract.ask(method, path, **rest)
    assert caught.value.status == status, caught.value
    return caught.value.message


def test_a_resource_that_is_not_installed_is_not_found(contract: ContractApi) -> None:
    nowhere = "/apis/podroute.dev/v1alpha1/nosuchthings"
    for method, path in (("GET", nowhere), ("POST", nowhere), ("DELETE", f"{nowhere}/x")):
        refused(contract, 404, method, path)


def test_status_has_a_door_of_its_own_and_is_replaced_as_a_whole(contract: ContractApi) -> None:
    install(contract)
    name = owned_status(contract)
    first = write_status(contract, name, REPORT.rendered([], AT))
    assert first["status"]["sessions"][0]["state"] == "established"
    second = write_status(contract, name, {"node": "n", "reasons": ["one"]})
    assert second["status"] == {"node": "n", "reasons": ["one"]}
    # The other door leaves it alone, and has a merge patch for the owner.
    patch = {"status": {"node": "m"}, "metadata": {"labels": {"a": "b"}}}
    path = f"{STATUSES}/{name}"
    third = contract.ask("PATCH", path, patch, content_type=MERGE_PATCH)
    assert third["status"]["node"] == "n"
    assert third["metadata"]["labels"] == {"a": "b"}
    refused(contract, 415, "PATCH", path, body=patch, content_type=STRATEGIC_PATCH)


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ({"sessions": [{"name": "tor1"}]}, "state"),
        ({"sessions": [{"name": "tor1", "state": "nonsense"}]}, "state"),
        ({"peers": {"configured": "two"}}, "configured"),
        ({"updated": "yesterday"}, "updated"),
        (REPORT.rendered([], AT) | {"reasons": ["x" * 5000]}, "reasons"),
    ],
    ids=["required", "enum", "type", "date", "length"],
)
def test_what_the_schema_does_not_allow_is_refused(
    contract: ContractApi, status: dict[str, Any], names: str
) -> None:
    install(contract)
    name = owned_status(contract)
    patch = [{"op": "add", "path": "/status", "value": status}]
    path = f"{STATUSES}/{name}/status"
    message = refused(contract, 422, "PATCH", path, body=patch, content_type=JSON_PATCH)
    assert names in message


def test_unknown_fields_are_dropped_or_refused(contract: ContractApi) -> None:
    install(contract)
    name = owned_status(contract)
    made = write_status(contract, name, {"node": "n", "unheard_of": 1})
    assert made["status"] == {"node": "n"}
    patch = {"status": {"unheard_of": 1}}
    strict = {"fieldValidation": "Strict"}
    # A real server says 422 of a patch, 400 of a whole object.
    message = refused(
        contract, 422, "PATCH", f"{STATUSES}/{name}/status",
        body=patch, content_type=MERGE_PATCH, query=strict,
    )  # fmt: skip
    assert "unheard_of" in message


@pytest.mark.parametrize(
    ("plural", "kind", "spec", "patch", "wrong"),
    [
        (
            "podnetworks",
            "PodNetwork",
            {"local_asn": 65201, "cluster": {"pod_prefixes": ["10.244.0.0/16"]}},
            {"graceful_restart_s": 60},
            {"graceful_restart_s": 5000},
        ),
        (
            "bgppeers",
            "BGPPeer",
            {"address": "10.0.1.2", "remote_asn": "external", "ttl_security": True},
            {"hold_time_s": 30},
            {"hold_time_s": 2},
        ),
        (
            "bgpadvertisements",
            "BGPAdvertisement",
            {"pod_cidrs": True, "communities": ["65201:1"]},
            {"prepend": 2},
            {"prepend": 17},
        ),
    ],
    ids=["PodNetwork", "BGPPeer", "BGPAdvertisement"],
)
def test_configuration_objects_are_listed_watched_and_checked(
    contract: ContractApi,
    plural: str,
    kind: str,
    spec: dict[str, Any],
    patch: dict[str, Any],
    wrong: dict[str, Any],
) -> None:
    install(contract)
    collection = f"{COLLECTION}/{plural}"
    name = f"podroute-contract-{uuid.uuid4().hex[:8]}"
    path = f"{collection}/{name}"
    before = resource_version(contract.get(collection))
    body = {
        "apiVersion": "podroute.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        # Nobody's node: a real cluster may be using these.
        "spec": {**spec, "select": {"matchLabels": {"podroute.dev/contract": name}}},
    }
    contract.post(collection, body)
    try:
        page = contract.get(collection, limit="500")
        (found,) = [item for item in items_of(page) if name_of(item) == name]
        made = config_object(kind, name, found)
        assert made.spec == body["spec"]
        contract.ask("PATCH", path, {"spec": patch}, content_type=MERGE_PATCH)
        assert contract.get(path)["spec"] == {**made.spec, **patch}
        refused(contract, 422, "PATCH", path, body={"spec": wrong}, content_type=MERGE_PATCH)
        # There is no status: nobody writes one.
        refused(
            contract, 404, "PATCH", f"{path}/status",
            body={"status": {}}, content_type=MERGE_PATCH,
        )  # fmt: skip
    finally:
        contract.ask("DELETE", path)
    events = contract.watch(
        collection, until="DELETED", resourceVersion=before, allowWatchBookmarks="true"
    )
    mine = [e.kind for e in events if e.kind != "BOOKMARK" and name_of(e.object) == name]
    assert mine == ["ADDED", "MODIFIED", "DELETED"]


def test_it_goes_with_its_node(contract: ContractApi) -> None:
    install(contract)
    name = owned_status(contract)
    contract.ask("DELETE", f"/api/v1/nodes/{name}")

    def is_gone() -> bool:
        try:
            contract.get(f"{STATUSES}/{name}")
        except RefusedError as error:
            return error.status == 404
        raise NotYetError("it is still there")

    wait_until(is_gone, deadline_s=60, what="garbage collection")


def test_uninstall_deletes_it(contract: ContractApi) -> None:
    install(contract)
    name = owned_status(contract)
    assert contract.run(lambda api: remove_status(api, name, timeout_s=10)) == (
        f"delete BGPNodeStatus {name}",
    )
    assert contract.run(lambda api: remove_status(api, name, timeout_s=10)) == ()
    refused(contract, 404, "GET", f"{STATUSES}/{name}")
