"""How we stand with the API server, as plain JSON values for operators. PURE."""

from __future__ import annotations

from typing import Any

from router.kube.view import ClusterView

Json = dict[str, Any]


def api(view: ClusterView) -> Json:
    """Return how we stand with the API server."""
    return {
        "connected": view.connected,
        "problem": view.problem or None,
        "status_problem": view.status_problem or None,
        "status_writes": view.status_writes,
        "requests": view.requests,
        "failures": view.failures,
    }
