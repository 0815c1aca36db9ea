"""Take back what we said about our own Node (uninstall). SHELL."""

from __future__ import annotations

import asyncio
from typing import Final

from router.kube.client import JSON_PATCH, STRATEGIC_PATCH, Api, Call, Client
from router.kube.convert import node_view
from router.kube.errors import KubeError, RefusedError
from router.kube.status_object import STATUSES
from router.kube.view import ClusterSettings
from router.reconcile.node_status import Patch, plan_status_removal

_STALE: Final = frozenset({409, 422})
"""The Node is no longer as seen (a failed `test` of a JSON patch is 422)."""
_TRIES: Final = 5
_PAUSE_S: Final = 0.5
_NOT_FOUND: Final = 404


def take_back(settings: ClusterSettings) -> tuple[str, ...]:
    """Remove our condition, taint and BGPNodeStatus; return one line for each. Raises KubeError.

    A Node that is gone has nothing of ours.
    """
    return asyncio.run(_take_back(settings))


async def _take_back(settings: ClusterSettings) -> tuple[str, ...]:
    client = Client(settings.access)
    try:
        timeout_s = settings.pace.request_s
        traces = await remove_traces(client, settings.node, timeout_s=timeout_s)
        return (*traces, *await remove_status(client, settings.node, timeout_s=timeout_s))
    finally:
        await client.close()


async def remove_status(api: Api, node: str, *, timeout_s: float) -> tuple[str, ...]:
    """Delete our BGPNodeStatus; it, or the whole resource, may not be there. Raises KubeError."""
    try:
        await api.request(Call(method="DELETE", path=f"{STATUSES}/{node}"), timeout_s)
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            return ()
        raise
    return (f"delete BGPNodeStatus {node}",)


async def remove_traces(api: Api, node: str, *, timeout_s: float) -> tuple[str, ...]:
    """See `take_back`."""
    done: list[str] = []
    refused: KubeError | None = None
    for _ in range(_TRIES):
        try:
            found = await api.request(Call(method="GET", path=f"/api/v1/nodes/{node}"), timeout_s)
            plan = plan_status_removal(node_view(found))
            if not plan:
                return tuple(done)
            for change in plan:
                condition = change.patch is Patch.CONDITION
                path = f"/api/v1/nodes/{node}" + ("/status" if condition else "")
                await api.request(
                    Call(
                        method="PATCH",
                        path=path,
                        query=(("fieldManager", "podroute"),),
                        body=change.body,
                        content_type=STRATEGIC_PATCH if condition else JSON_PATCH,
                    ),
                    timeout_s,
                )
                done.append(change.describe())
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                return tuple(done)
            if error.status not in _STALE:
                raise
            refused = error
            await asyncio.sleep(_PAUSE_S)
    raise refused or KubeError(f"Node {node} does not stay as we leave it")
