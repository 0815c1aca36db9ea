"""Run a command in a container through the API server, as `kubectl exec` does. SHELL.

One WebSocket for each command, subprotocol v4.channel.k8s.io: each binary message begins with its
channel: 1 standard output, 2 standard error, 3 the outcome as a Status
(k8s.io/apimachinery/pkg/util/remotecommand/constants.go).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from router.kube.client import Call, Client
from router.kube.errors import KubeError, MalformedError

PROTOCOL: Final = "v4.channel.k8s.io"
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_MOST_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Where a command is run."""

    namespace: str
    pod: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came of a command."""

    status: int
    """Exit status."""
    stdout: bytes
    stderr: bytes


async def execute(
    client: Client, where: Container, command: Sequence[str], timeout_s: float
) -> Execution:
    """Run a command to its end, without standard input. Raises KubeError."""
    call = Call(
        method="GET",
        path=f"/api/v1/namespaces/{where.namespace}/pods/{where.pod}/exec",
        query=(
            ("container", where.container),
            ("stdout", "true"),
            ("stderr", "true"),
            *(("command", word) for word in command),
        ),
    )
    try:
        async with asyncio.timeout(timeout_s), client.web_socket(call, PROTOCOL) as socket:
            return await _collect(socket)
    except TimeoutError:
        raise KubeError(f"{where.pod}: no end of {command[0]} after {timeout_s:g} s") from None


async def _collect(socket: aiohttp.ClientWebSocketResponse) -> Execution:
    streams = {_STDOUT: bytearray(), _STDERR: bytearray()}
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == _ERROR:
            return Execution(
                status=exit_status(data),
                stdout=bytes(streams[_STDOUT]),
                stderr=bytes(streams[_STDERR]),
            )
        if channel in streams:
            streams[channel] += data
            if len(streams[channel]) > _MOST_BYTES:
                raise MalformedError("the command prints without end")
    raise MalformedError("the API server ended the connection before the command did")


def exit_status(data: bytes) -> int:
    """Read the Status object at the end of a command. Raises KubeError if it was not run."""
    status: Any = None
    with contextlib.suppress(ValueError):
        status = json.loads(data)
    if not isinstance(status, dict):
        raise MalformedError("the outcome of the command is not an object")
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    raise KubeError(str(status.get("message") or "the command was not run"))
