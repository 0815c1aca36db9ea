"""What the agent hands to the API thread and gets from it, as values."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bgp.secret import Secret
from router.kube import convert
from router.kube.access import Access
from router.kube.errors import MalformedError
from router.kube.memory import Remembered
from router.kube.pace import Pace
from router.model.config_object import ConfigObject
from router.model.node import Claims, ConfigMapView, NodeView, Observed, SecretRef
from router.model.service import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """What the agent needs of the API server."""

    access: Access
    node: str
    """Name of our own Node object."""
    namespace: str
    """Ours: the ConfigMap and all Secrets are there."""
    config_map: str = ""
    """Name of the ConfigMap with the configuration; '' watches none."""
    objects: bool = True
    """Whether configuration objects are looked for."""
    pace: Pace = field(default_factory=Pace)
    memory: Path | None = None
    """File on tmpfs that outlives the agent, not the boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """Everything known from the API, frozen."""

    node: Observed[NodeView] = field(default_factory=Observed)
    config_map: Observed[ConfigMapView] = field(default_factory=Observed)
    objects: Observed[tuple[ConfigObject, ...]] = field(default_factory=Observed)
    """PodNetworks, BGPPeers and BGPAdvertisements; none where the resources are not installed."""
    secrets: Mapping[SecretRef, Secret] = field(default_factory=dict)
    secret_problems: Mapping[SecretRef, str] = field(default_factory=dict)
    services: Services = field(default_factory=Services)
    """Known only while they are wanted."""
    claims: Claims = field(default_factory=Claims)
    """All Nodes, as they were when a pod CIDR of ours was heard from elsewhere."""
    connected: bool = False
    """Whether every watch is open now. No part of any readiness."""
    problem: str = ""
    """Why not, or what of the API's answers cannot be used."""
    status_problem: str = ""
    """Why the Node does not say what it shall."""
    status_writes: int = 0
    """How many requests wrote BGPNodeStatus since the start."""
    requests: int = 0
    """How many requests the watches have sent since the start."""
    failures: int = 0
    """How often a watch failed since the start."""


def recalled(remembered: Remembered, settings: ClusterSettings) -> ClusterView:
    """Return the view of a restarted agent before the API server has answered."""
    node: NodeView | None = None
    config_map: ConfigMapView | None = None
    with contextlib.suppress(MalformedError):
        node = convert.node_view(remembered.node) if remembered.node else None
    with contextlib.suppress(MalformedError):
        if remembered.config_map:
            config_map = convert.config_map_view(remembered.config_map)
    return ClusterView(
        node=Observed(value=node if node and node.name == settings.node else None),
        config_map=Observed(
            value=config_map if config_map and config_map.name == settings.config_map else None
        ),
        objects=Observed(value=remembered.objects if settings.objects else ()),
        secrets=remembered.secrets,
        problem="the API server has not answered yet",
    )
