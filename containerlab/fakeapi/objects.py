"""Objects that others put into the API: what a kubelet or an operator writes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

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
