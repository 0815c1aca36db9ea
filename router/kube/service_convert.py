"""From JSON of Services and EndpointSlices to our values. PURE.

As lenient as `convert`: what is odd about an object is as good as not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from router.kube import shape
from router.model.link import Address
from router.model.service import NO_ZONES, NOTHING, Key, ServiceView, Serving, SliceView

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_FAMILIES: Final = {"IPv4": 4, "IPv6": 6}


def service_view(key: Key, raw: Mapping[str, Any]) -> ServiceView:
    """Return the view of a Service."""
    metadata, spec = shape.mapping(raw.get("metadata")), shape.mapping(raw.get("spec"))
    kind = shape.text(spec.get("type")) or "ClusterIP"
    if kind == "ExternalName":
        return ServiceView(key=key)
    ingress = _ingress(raw) if kind == "LoadBalancer" else []
    return ServiceView(
        key=key,
        labels=shape.texts(metadata.get("labels")),
        load_balancer=tuple(dict.fromkeys(address for address, _ in ingress)),
        proxied=tuple(dict.fromkeys(address for address, is_proxied in ingress if is_proxied)),
        external=_addresses(spec.get("externalIPs")),
        # "None" of a headless Service is no address.
        cluster=_addresses(shape.items(spec.get("clusterIPs")) or spec.get("clusterIP")),
        external_local=spec.get("externalTrafficPolicy") == "Local",
        internal_local=spec.get("internalTrafficPolicy") == "Local",
        is_leaving=bool(metadata.get("deletionTimestamp")),
    )


def _ingress(raw: Mapping[str, Any]) -> list[tuple[Address, bool]]:
    """Return the load balancer's addresses and whether kube-proxy leaves each alone."""
    status = shape.mapping(shape.mapping(raw.get("status")).get("loadBalancer"))
    return [
        (address, item.get("ipMode") == "Proxy")
        for item in shape.mappings(status.get("ingress"))
        if (address := shape.address(item.get("ip"))) is not None
    ]


def _addresses(values: object) -> tuple[Address, ...]:
    found = (shape.address(value) for value in shape.items(values))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def slice_view(key: Key, raw: Mapping[str, Any], node: str) -> SliceView | None:
    """Return the view of an EndpointSlice from a node; None if it belongs to no Service."""
    labels = shape.mapping(shape.mapping(raw.get("metadata")).get("labels"))
    service = shape.text(labels.get(_SERVICE_LABEL))
    family = _FAMILIES.get(shape.text(raw.get("addressType")))
    if not service or family is None:
        return None
    serving, zones, is_hinted = NOTHING, NO_ZONES, True
    for endpoint in shape.mappings(raw.get("endpoints")):
        found = _serving(
            shape.mapping(endpoint.get("conditions")), is_here=endpoint.get("nodeName") == node
        )
        serving |= found
        if is_hinted and found & Serving.READY:
            hinted = _hinted(endpoint)
            zones |= hinted
            is_hinted = bool(hinted)
    return SliceView(
        key=key,
        service=Key(key.namespace, service),
        family=family,
        serving=serving,
        zones=zones if is_hinted else NO_ZONES,
    )


def _hinted(endpoint: Mapping[str, Any]) -> frozenset[str]:
    """Return the zones whose nodes shall use an endpoint."""
    zones = shape.mappings(shape.mapping(endpoint.get("hints")).get("forZones"))
    return frozenset(name for zone in zones if (name := shape.text(zone.get("name"))))


def _serving(conditions: Mapping[str, Any], *, is_here: bool) -> Serving:
    """Return the flags of an endpoint; a condition that is not given is the usual one.

    https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
    """
    ready = conditions.get("ready") is not False
    if conditions.get("terminating") is True:
        serving = conditions.get("serving")
        if not (ready if serving is None else serving is True):
            return NOTHING
        return Serving.LEAVING | (Serving.LEAVING_HERE if is_here else NOTHING)
    if not ready:
        return NOTHING
    return Serving.READY | (Serving.READY_HERE if is_here else NOTHING)
