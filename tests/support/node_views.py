"""Nodes as the API has them, for what they order and whose CIDRs they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from containerlab.fakeapi import objects
from router.kube.convert import node_view
from router.model.node import NodeView

SHUTDOWN = "[container runtime is down, node is shutting down]"
"""What kubelet says of Ready while the machine goes down, beside another reason."""


def node(
    annotations: Mapping[str, str] | None = None,
    taints: tuple[Mapping[str, str], ...] = (),
    ready: Mapping[str, str] | None = None,
    **spec: Any,
) -> NodeView:
    made = objects.node("node1", taints=taints)
    made["metadata"] |= {"uid": "u", "annotations": dict(annotations or {})}
    made["spec"] |= spec
    made["status"]["conditions"] = [{"type": "Ready", **(ready or {"status": "True"})}]
    return node_view(made)
