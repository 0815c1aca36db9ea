"""Objects that others put into the API: what a kubelet or an operator writes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from containerlab.fakeapi.store import Object


def node(
    name: str,
    *,
    pod_cidrs: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (),
    labels: Mapping[str, str] | None = None,
    taints: tuple[Mapping[str, str], ...] = (),
) -> Object:
    """Return a Node as a kubelet registers it."""
    spec: Object = {}
    if pod_cidrs:
        spec |= {"podCIDR": pod_cidrs[0], "podCIDRs": list(pod_cidrs)}
    if taints:
        spec["taints"] = [dict(taint) for taint in taints]
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, **(labels or {})},
        },
        "spec": spec,
        "status": {
            "addresses": [
                *({"type": "InternalIP", "address": address} for address in addresses),
                {"type": "Hostname", "address": name},
            ],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def write_token(path: Path, token: str) -> None:
    """Replace a token file as the kubelet does."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(token)
    fresh.replace(path)


def config_map(name: str, data: Mapping[str, str]) -> Object:
    """Return a ConfigMap."""
    return {"metadata": {"name": name}, "data": dict(data)}


def secret(name: str, data: Mapping[str, str]) -> Object:
    """Return a Secret."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name}, "type": "Opaque", "data": encoded}


def service(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    ingress: tuple[str, ...] = (),
    spec: Mapping[str, Any] | None = None,
) -> Object:
    """Return a Service; with `ingress` addresses of a load balancer it is of that type."""
    kind = "LoadBalancer" if ingress else "ClusterIP"
    port = {"name": "web", "port": 80, "targetPort": 8080, "protocol": "TCP"}
    made: Object = {
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"type": kind, "selector": {"app": name}, "ports": [port], **(spec or {})},
    }
    if ingress:
        addresses = [{"ip": address, "ipMode": "VIP"} for address in ingress]
        made["status"] = {"loadBalancer": {"ingress": addresses}}
    return made


def endpoint(
    address: str, node: str, *, ready: bool = True, serving: bool = True, terminating: bool = False
) -> Object:
    """Return an endpoint as the controller writes it: who terminates is never ready."""
    conditions = {
        "ready": ready and not terminating,
        "serving": serving,
        "terminating": terminating,
    }
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def endpoint_slice(name: str, of: str, endpoints: Sequence[Object], *, family: int = 4) -> Object:
    """Return an EndpointSlice of a Service, as the controller names its Service."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of}},
        "addressType": f"IPv{family}",
        "endpoints": list(endpoints),
        "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
    }
