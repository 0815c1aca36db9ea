"""An API server in memory for virtual time: one object, switchable, every request noted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from router.kube.client import Call
from router.kube.errors import KubeError, RefusedError, UnreachableError


class Asked(NamedTuple):
    """One request."""

    at: float
    verb: str
    query: dict[str, str]


@dataclass(slots=True)
class ScriptedApi:
    """Answers lists and watches of one object; `fault` decides whether it does."""

    fault: KubeError | None = None
    expired: bool = False
    """Whether watches get 410."""
    ends_at_once: bool = False
    """Whether each watch ends as soon as it begins."""
    found: dict[str, Any] | None = None
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Answers for other paths."""
    version: int = 10
    asked: list[Asked] = field(default_factory=list)
    streams: set[asyncio.Queue[bytes | KubeError]] = field(default_factory=set)

    def asked_for(self, verb: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.verb == verb]

    def cut(self, error: KubeError) -> None:
        """End every watch with an error."""
        for stream in self.streams:
            stream.put_nowait(error)

    def send(self, kind: str, found: dict[str, Any]) -> None:
        """Send an event to every watch."""
        line = json.dumps({"type": kind, "object": found}).encode() + b"\n"
        for stream in self.streams:
            stream.put_nowait(line)

    def _note(self, call: Call, verb: str) -> None:
        now = asyncio.get_running_loop().time()
        self.asked.append(Asked(now, verb, dict(call.query)))

    async def request(self, call: Call, timeout_s: float) -> dict[str, Any]:
        self._note(call, "list" if call.method == "GET" else call.method.lower())
        if self.fault is not None:
            raise self.fault
        if call.path in self.others:
            return self.others[call.path]
        self.expired = False
        items = [self.found] if self.found else []
        return {"metadata": {"resourceVersion": str(self.version)}, "items": items}

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, timeout_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        self._note(call, "watch")
        if self.fault is not None:
            raise self.fault
        if self.expired:
            raise RefusedError(410, "Expired", "too old resource version", None)
        queue: asyncio.Queue[bytes | KubeError] = asyncio.Queue()
        self.streams.add(queue)
        length_s = 0.0 if self.ends_at_once else float(dict(call.query)["timeoutSeconds"])
        try:
            yield _lines(queue, length_s)
        finally:
            self.streams.discard(queue)


async def _lines(queue: asyncio.Queue[bytes | KubeError], length_s: float) -> AsyncIterator[bytes]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(length_s):
            while True:
                line = await queue.get()
                if isinstance(line, KubeError):
                    raise line
                yield line


def down() -> UnreachableError:
    return UnreachableError("connection refused")
