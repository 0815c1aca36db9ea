"""Requests to the API server through kubernetes' asyncio client. SHELL.

Only `ApiClient` of that package is used, with JSON in and out: its typed half (`CoreV1Api` and
317 model modules) costs 26 MB and 0.7 s more, and refuses objects that `router.kube.convert`
can still read. All methods belong to the event loop's thread.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject, RESTResponse
from kubernetes.aio.config import load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from router.kube.access import Access
from router.kube.convert import parse_object
from router.kube.errors import KubeError, MalformedError, RefusedError, UnreachableError

JSON: Final = "application/json"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
_CONNECT_S: Final = 10.0
_MAX_ERROR_BYTES: Final = 65536
_HALF_LINE_BYTES: Final = 2**20
"""aiohttp refuses lines above twice its buffer, 128 KiB by default: an EndpointSlice of a thousand
endpoints has 400 KB. etcd takes 1.5 MB."""
_KEEPALIVE: Final = ((4, 30), (5, 10), (6, 3))
"""TCP_KEEPIDLE, _KEEPINTVL, _KEEPCNT: an API server that vanished is noticed in a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = JSON


class Api(Protocol):
    """What watches and writers need; `Client` is the real one."""

    async def request(self, call: Call, timeout_s: float) -> dict[str, Any]:
        """Return the answer's object. Raises KubeError."""

    def stream(
        self, call: Call, timeout_s: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch, whose lines end with the server's end of it. Raises KubeError.

        `timeout_s` bounds the wait for the next line.
        """


class _Files(NamedTuple):
    """Modification times of what a client was built from."""

    ca: int
    kubeconfig: int


class Client:
    """The API server as one identity; opens connections when first used."""

    def __init__(self, access: Access) -> None:
        """Read nothing yet."""
        self._access = access
        self._client: ApiClient | None = None
        self._files: _Files | None = None

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.rest_client.close()

    async def request(self, call: Call, timeout_s: float) -> dict[str, Any]:
        """Return the answer's object. Raises KubeError."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        with _translated(call):
            response = await self._send(call, timeout)
            try:
                raw = await response.response.read()
            finally:
                response.response.release()
        return parse_object(raw)

    @contextlib.asynccontextmanager
    async def stream(self, call: Call, timeout_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; see `Api.stream`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=timeout_s)
        with _translated(call):
            response = await self._send(call, timeout)
        try:
            yield _lines(response, call)
        finally:
            # A watch has no end to wait for: drop the connection.
            response.response.close()

    @contextlib.asynccontextmanager
    async def web_socket(
        self, call: Call, protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a WebSocket that speaks this subprotocol, for the time of the block.

        Raises KubeError, in the block, too, for a connection that breaks.
        """
        client = await self._ready()
        headers = {"User-Agent": self._access.user_agent}
        await client.update_params_for_auth(
            headers, None, ["BearerToken"], call.path, call.method, None
        )
        rest = client.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()
        url = client.configuration.host.rstrip("/") + call.path + "?" + urlencode(call.query)
        with _translated(call):
            try:
                opened = rest.pool_manager.ws_connect(
                    url, protocols=(protocol,), headers=headers, max_msg_size=0
                )
                async with opened as socket:
                    yield socket
            except aiohttp.WSServerHandshakeError as error:
                reason = f"{call.path}: {error.message}"
                raise RefusedError(error.status, "", reason, None) from error

    async def _send(self, call: Call, timeout: aiohttp.ClientTimeout) -> RESTResponse:
        client = await self._ready()
        headers = {"User-Agent": self._access.user_agent, "Accept": JSON}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        await client.update_params_for_auth(
            headers, None, ["BearerToken"], call.path, call.method, call.body
        )
        url = client.configuration.host.rstrip("/") + call.path
        if call.query:
            url += "?" + urlencode(call.query)
        response: RESTResponse = await client.rest_client.request(  # type: ignore[no-untyped-call]
            call.method, url, headers=headers, body=call.body, _request_timeout=timeout
        )
        if not 200 <= response.status <= 299:
            try:
                raw = await response.response.content.read(_MAX_ERROR_BYTES)
            finally:
                response.response.close()
            raise _refusal(response, raw)
        return response

    async def _ready(self) -> ApiClient:
        """Return a client built from the files as they are now."""
        files = _Files(_modified(self._access.ca_file), _modified(self._access.kubeconfig))
        if self._client is None or files != self._files:
            configuration = await _configuration(self._access)
            await self.close()
            self._client = ApiClient(configuration)
            await self._client.rest_client.close()
            self._client.rest_client = _Rest(configuration)
            self._files = files
        return self._client


class _Rest(RESTClientObject):
    """Connections that notice a peer that is gone."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(ssl=self.ssl_context, socket_factory=_socket)


def _socket(info: Any) -> socket.socket:
    family, kind, protocol = info[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made


async def _configuration(access: Access) -> Configuration:
    # No proxy from the environment and no ~/.netrc: a node agent talks to its API server.
    configuration = Configuration(
        client_session_kwargs={"trust_env": False, "read_bufsize": _HALF_LINE_BYTES}
    )
    if access.kubeconfig is not None:
        try:
            await load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(access.kubeconfig),
                context=access.context or None,
                client_configuration=configuration,
                persist_config=False,
            )
        except (ConfigException, KeyError, TypeError, ValueError) as error:
            raise KubeError(f"kubeconfig {access.kubeconfig}: {error}") from error
    if access.server:
        configuration.host = access.server
    if access.ca_file is not None:
        configuration.ssl_ca_cert = str(access.ca_file)
    if access.tls_server_name:
        configuration.tls_server_name = access.tls_server_name
    if access.token_file is not None:
        token = _Token(access.token_file)
        configuration.api_key["BearerToken"] = ""
        # The package declares the attribute as None only.
        configuration.refresh_api_key_hook = token.refresh  # type: ignore[assignment]
    return configuration


class _Token:
    """A token file that others replace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = -1

    def refresh(self, configuration: Configuration) -> None:
        """Put the newest token in place. Raises OSError."""
        modified = self._path.stat().st_mtime_ns
        if modified != self._seen:
            token = self._path.read_text().strip()
            configuration.api_key["BearerToken"] = f"Bearer {token}"
            self._seen = modified


def _modified(path: Path | None) -> int:
    if path is None:
        return 0
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return -1


async def _lines(response: RESTResponse, call: Call) -> AsyncIterator[bytes]:
    content = response.response.content
    while True:
        with _translated(call):
            try:
                line = await content.readline()
            except ValueError as error:
                raise MalformedError(f"a line of a watch is too long: {error}") from error
        if not line:
            return
        if not line.endswith(b"\n"):
            raise UnreachableError(f"{call.method} {call.path}: the watch was cut in a line")
        yield line


@contextlib.contextmanager
def _translated(call: Call) -> Any:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise UnreachableError(f"{call.method} {call.path}: {reason}") from error


def _refusal(response: RESTResponse, raw: bytes) -> RefusedError:
    status: Mapping[str, Any] = {}
    with contextlib.suppress(MalformedError):
        status = parse_object(raw)
    reason, message = status.get("reason"), status.get("message")
    after = str(response.headers.get("Retry-After", ""))
    return RefusedError(
        response.status,
        reason if isinstance(reason, str) else "",
        message if isinstance(message, str) else str(response.reason or ""),
        float(after) if after.isascii() and after.isdigit() else None,
    )
