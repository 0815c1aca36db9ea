"""Read a whole cluster from where a person sits: objects, and what the agents say. SHELL.

Objects come from the API server. What only an agent knows (routes, pods, findings) is asked with
`podroute ... -o json` in its container, by exec: no door has to be open on the nodes, and the
rights are those of whoever asks (ADR 0142). Everything here reads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from router.kube import convert
from router.kube.access import Access
from router.kube.client import Call, Client
from router.kube.errors import KubeError, RefusedError
from router.kube.execution import Container, execute
from router.kube.status_object import STATUSES

Json = Mapping[str, Any]
_REQUEST_S: Final = 30.0
_EXEC_S: Final = 60.0
_AT_ONCE: Final = 16
_PAGE: Final = "500"
_LABELS: Final = "app.kubernetes.io/name=podroute"
_CONTAINER: Final = "router"
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the nodes said."""

    by_node: Mapping[str, Json]
    silent: Mapping[str, str]
    """Node -> why it gave no answer."""


def run(access: Access, ask: Callable[[Reader], Awaitable[Any]]) -> Any:
    """Ask, and close the connections. Raises KubeError."""

    async def asking() -> Any:
        client = Client(access)
        try:
            return await ask(Reader(client))
        finally:
            await client.close()

    return asyncio.run(asking())


class Reader:
    """One cluster as one person may see it."""

    def __init__(self, client: Client) -> None:
        """Ask nothing yet."""
        self._client = client

    async def statuses(self) -> list[Json]:
        """Return all BGPNodeStatus objects. Raises KubeError."""
        try:
            return await self._list(STATUSES)
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            raise KubeError(
                "there is no BGPNodeStatus in this cluster: apply deploy/kustomize/base/crds.yaml"
            ) from error

    async def nodes(self) -> list[Json]:
        """Return all Nodes. Raises KubeError."""
        return await self._list("/api/v1/nodes")

    async def events(self) -> list[Json]:
        """Return the Events that our agents wrote, the oldest first. Raises KubeError."""
        found = await self._list("/apis/events.k8s.io/v1/namespaces/default/events")
        ours = [
            event
            for event in found
            if str(event.get("reportingController", "")).startswith("podroute.dev/")
        ]
        return sorted(ours, key=lambda event: str(event.get("eventTime") or ""))

    async def agents(self, namespace: str) -> dict[str, str]:
        """Return node -> name of the agent's pod there. Raises KubeError."""
        pods = await self._list(
            f"/api/v1/namespaces/{namespace}/pods", (("labelSelector", _LABELS),)
        )
        found = {}
        for pod in pods:
            node = (pod.get("spec") or {}).get("nodeName")
            phase = (pod.get("status") or {}).get("phase")
            if node and phase == "Running" and "deletionTimestamp" not in pod["metadata"]:
                found[str(node)] = str(pod["metadata"]["name"])
        return found

    async def ask(
        self, namespace: str, command: Sequence[str], nodes: Sequence[str], accept: Sequence[int]
    ) -> Answers:
        """Run `podroute COMMAND -o json` on nodes (none: all that have an agent).

        Exit statuses in `accept` have an answer on standard output. Raises KubeError when the
        agents' pods cannot be listed.
        """
        agents = await self.agents(namespace)
        wanted = {node: agents.get(node, "") for node in nodes} if nodes else agents
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(pod: str) -> Json:
            if not pod:
                raise KubeError(f"no agent's pod runs there (namespace {namespace})")
            where = Container(namespace=namespace, pod=pod, container=_CONTAINER)
            async with gate:
                done = await execute(
                    self._client, where, ["podroute", *command, "-o", "json"], _EXEC_S
                )
            if done.status not in accept:
                text = done.stderr.decode(errors="replace").strip()
                raise KubeError(text.partition("\n")[0] or f"exit status {done.status}")
            try:
                answer = json.loads(done.stdout)
            except ValueError:
                raise KubeError("its answer is not JSON") from None
            if not isinstance(answer, dict):
                raise KubeError("its answer is not an object")
            return answer

        answers = await asyncio.gather(*map(one, wanted.values()), return_exceptions=True)
        by_node, silent = {}, {}
        for node, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, KubeError):
                silent[node] = str(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                by_node[node] = answer
        return Answers(by_node=dict(sorted(by_node.items())), silent=dict(sorted(silent.items())))

    async def _list(self, path: str, query: tuple[tuple[str, str], ...] = ()) -> list[Json]:
        items: list[Json] = []
        token = ""
        while True:
            page = (*query, ("limit", _PAGE), *((("continue", token),) if token else ()))
            call = Call(method="GET", path=path, query=page)
            answer = await self._client.request(call, _REQUEST_S)
            items += convert.items_of(answer)
            token = convert.continue_token(answer)
            if not token:
                return items
