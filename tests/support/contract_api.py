"""An API server as the contract tests use it: through the agent's own client, synchronously."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from router.kube.access import Access
from router.kube.client import JSON, Call, Client
from router.kube.convert import WatchEvent, parse_watch_line
from router.kube.errors import RefusedError

KUBECONFIG = "PODROUTE_TEST_KUBECONFIG"
"""Names the kubeconfig of a real cluster to ask in place of the fake API server."""
TIMEOUT_S = 20.0
T = TypeVar("T")


class ContractApi:
    """Requests one by one, and watches read to a wanted event; cleans up what it made."""

    def __init__(
        self, access: Access, namespace: str, compact: Callable[[], None] | None = None
    ) -> None:
        """*compact* makes a fake server forget its history; a real one does so by itself."""
        self.namespace = namespace
        self.is_fake = compact is not None
        self.compact: Callable[[], None] = compact or (lambda: None)
        self.nodes: list[str] = []
        self._runner = asyncio.Runner()
        self._client = Client(access)

    def __enter__(self) -> ContractApi:
        self.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        paths = [f"/api/v1/nodes/{name}" for name in self.nodes]
        for path in (*paths, f"/api/v1/namespaces/{self.namespace}"):
            with contextlib.suppress(RefusedError):
                self.ask("DELETE", path)
        self._runner.run(self._client.close())
        self._runner.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = JSON,
        query: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer. Raises RefusedError."""
        call = Call(
            method=method,
            path=path,
            body=body,
            content_type=content_type,
            query=tuple((query or {}).items()),
        )
        return self._runner.run(self._client.request(call, TIMEOUT_S))

    def run(self, ask: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
        """Let other code ask with our client. Raises what it raises."""
        return self._runner.run(ask(self._client))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        return self.ask("POST", path, body)

    def make_node(self, name: str, **parts: Any) -> dict[str, Any]:
        """Create a Node and remember to remove it."""
        made = self.post("/api/v1/nodes", {"metadata": {"name": name}, **parts})
        self.nodes.append(name)
        return made

    def make_config_map(self, name: str, **data: str) -> dict[str, Any]:
        return self.post(self.config_maps, {"metadata": {"name": name}, "data": data})

    @property
    def config_maps(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    def watch(
        self, path: str, *, until: str, timeout_s: int = 10, **query: str
    ) -> list[WatchEvent]:
        """Return the events up to the first of a kind; all of them if the server ends first."""
        return self._runner.run(self._watch(path, until, timeout_s, query))

    async def _watch(
        self, path: str, until: str, timeout_s: int, query: dict[str, str]
    ) -> list[WatchEvent]:
        asked = {"watch": "1", "timeoutSeconds": str(timeout_s), **query}
        call = Call(method="GET", path=path, query=tuple(asked.items()))
        seen: list[WatchEvent] = []
        async with self._client.stream(call, TIMEOUT_S) as lines:
            async for line in lines:
                seen.append(parse_watch_line(line))
                if seen[-1].kind == until:
                    break
        return seen
