"""What the agent relies on of Services and EndpointSlices; as in test_contract_api.py."""

from __future__ import annotations

from typing import Any

from containerlab.fakeapi import objects
from router.kube.client import STRATEGIC_PATCH
from router.kube.convert import continue_token, items_of, key_of, resource_version
from router.kube.service_convert import service_view, slice_view
from router.kube.services import SERVICES, SLICES
from router.model.service import Key, Serving
from tests.support.contract_api import ContractApi

MERGE = "application/merge-patch+json"


def services_of(contract: ContractApi) -> str:
    return f"/api/v1/namespaces/{contract.namespace}/services"


def slices_of(contract: ContractApi) -> str:
    return f"/apis/discovery.k8s.io/v1/namespaces/{contract.namespace}/endpointslices"


def ours(contract: ContractApi, answer: dict[str, Any]) -> dict[Key, dict[str, Any]]:
    found = {key_of(item): dict(item) for item in items_of(answer)}
    return {key: item for key, item in found.items() if key.namespace == contract.namespace}


def test_services_of_all_namespaces_are_one_list_and_one_watch(contract: ContractApi) -> None:
    made = objects.service("web", labels={"announce": "yes"}, spec={"externalIPs": ["192.0.2.7"]})
    contract.post(services_of(contract), made)
    answer = contract.get(SERVICES, limit="500")
    while token := continue_token(answer):
        answer = contract.get(SERVICES, limit="500", **{"continue": token})
    key = Key(contract.namespace, "web")
    view = service_view(key, ours(contract, contract.get(SERVICES))[key])
    assert [str(address) for address in view.external] == ["192.0.2.7"]
    assert view.labels["announce"] == "yes"
    version = resource_version(answer)
    local = {"spec": {"externalTrafficPolicy": "Local", "type": "NodePort"}}
    contract.ask("PATCH", f"{services_of(contract)}/web", local, content_type=STRATEGIC_PATCH)
    contract.ask("DELETE", f"{services_of(contract)}/web")
    events = contract.watch(SERVICES, until="DELETED", resourceVersion=version)
    mine = [event for event in events if key_of(event.object) == key]
    assert [event.kind for event in mine] == ["MODIFIED", "DELETED"]
    assert service_view(key, mine[0].object).external_local


def test_the_load_balancers_address_has_a_door_of_its_own(contract: ContractApi) -> None:
    made = objects.service("web", spec={"type": "LoadBalancer"})
    contract.post(services_of(contract), made)
    path = f"{services_of(contract)}/web"
    ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
    key = Key(contract.namespace, "web")
    contract.ask("PATCH", path, ingress, content_type=MERGE)
    assert service_view(key, contract.get(path)).load_balancer == ()
    contract.ask("PATCH", f"{path}/status", ingress, content_type=MERGE)
    assert [str(a) for a in service_view(key, contract.get(path)).load_balancer] == ["192.0.2.7"]


def test_endpoints_name_their_service_their_node_and_their_conditions(
    contract: ContractApi,
) -> None:
    endpoints = [
        objects.endpoint("10.244.1.2", "node1", terminating=True),
        objects.endpoint("10.244.2.2", "node2"),
    ]
    contract.post(slices_of(contract), objects.endpoint_slice("web-1", "web", endpoints))
    found = ours(contract, contract.get(SLICES))
    key = Key(contract.namespace, "web-1")
    view = slice_view(key, found[key], "node1")
    assert view is not None
    assert view.service == Key(contract.namespace, "web")
    assert view.family == 4
    assert view.serving == Serving.LEAVING | Serving.LEAVING_HERE | Serving.READY
    elsewhere = slice_view(key, found[key], "node2")
    assert elsewhere is not None
    assert elsewhere.serving == Serving.LEAVING | Serving.READY | Serving.READY_HERE
