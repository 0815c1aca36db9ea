"""HTTP in front of the fake API's service: one thread for each connection."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from containerlab.fakeapi.faults import Faults
from containerlab.fakeapi.request import Asked, Logged, parse_request, verb_of
from containerlab.fakeapi.resources import ApiError
from containerlab.fakeapi.service import Service
from containerlab.fakeapi.store import Object
from containerlab.fakeapi.websocket import PROTOCOL, accept_key, frames

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send RST."""
_EXEC = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods/(?P<pod>[^/]+)/exec")


class CutError(Exception):
    """The connection is to end without a word."""


@dataclass(slots=True, kw_only=True)
class Shared:
    """What all connections share, across down and up."""

    service: Service
    faults: Faults
    tokens: dict[str, str] | None
    log: list[Logged] = field(default_factory=list)
    connections: set[socket.socket] = field(default_factory=set)
    watches: int = 0
    cut_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Server(ThreadingHTTPServer):
    """The listener; each connection in a thread of its own."""

    daemon_threads = True
    # Names fall back to a DNS query for every listening address otherwise.
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], shared: Shared) -> None:
        self.shared = shared
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking for our name."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "fake-api", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: broken connections are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-api"
    _index = 0

    @property
    def shared(self) -> Shared:
        return cast(Server, self.server).shared

    def setup(self) -> None:
        super().setup()
        with self.shared.lock:
            self.shared.connections.add(self.request)
        self.connection.settimeout(300)

    def finish(self) -> None:
        with self.shared.lock:
            self.shared.connections.discard(self.request)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the request log is for tests."""

    def _serve(self) -> None:
        began = time.monotonic()
        self._note(began)
        try:
            body = self._body()
            self._authenticate()
            self._fault()
            if self.path in ("/readyz", "/livez", "/healthz", "/version"):
                self._answer(200, {"gitVersion": "v1.37.0-fake", "major": "1", "minor": "37"})
                return
            if _EXEC.fullmatch(urlsplit(self.path).path):
                self._exec()
                return
            asked = parse_request(self.command, self.path, self.shared.service.resources)
            if asked.verb == "watch":
                self._watch(asked, began)
                return
            self._answer(
                *self.shared.service.answer(asked, body, self.headers.get("Content-Type", ""))
            )
        except ApiError as error:
            self._answer(error.code, error.status(), error.headers)
        except CutError:
            self._cut()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _note(self, at: float) -> None:
        parts = urlsplit(self.path)
        entry = Logged(
            at=at,
            verb=verb_of(self.command, self.path),
            path=parts.path,
            query=parts.query,
            user_agent=self.headers.get("User-Agent", ""),
            user=self._user(),
        )
        with self.shared.lock:
            self._index = len(self.shared.log)
            self.shared.log.append(entry)

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if not raw:
            return None
        try:
            return json.loads(raw)
        except ValueError as error:
            raise ApiError(400, "BadRequest", "the body is not JSON") from error

    def _user(self) -> str:
        tokens = self.shared.tokens
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if tokens is None:
            return "anyone"
        return tokens.get(token.strip(), "") if kind.lower() == "bearer" else ""

    def _authenticate(self) -> None:
        if not self._user():
            raise ApiError(401, "Unauthorized", "Unauthorized")

    def _fault(self) -> None:
        rule = self.shared.faults.take(verb_of(self.command, self.path), self.path)
        if rule is None:
            return
        if rule.action == "delay":
            self.shared.faults.cleared.wait(rule.seconds)
        elif rule.action == "hang":
            self.shared.faults.cleared.wait(600)
            raise CutError
        elif rule.action == "reset":
            raise CutError
        elif rule.action == "garbage":
            self._send(200, b"<html>load balancer says hello</html>", {})
            raise CutError
        else:
            after = {} if rule.retry_after_s is None else {"Retry-After": str(rule.retry_after_s)}
            reason = {429: "TooManyRequests", 410: "Expired"}.get(rule.status, "InternalError")
            raise ApiError(rule.status, reason, "a fault was switched on", after)

    def _answer(self, code: int, found: Object, headers: dict[str, str] | None = None) -> None:
        self._send(code, json.dumps(found).encode(), headers or {})

    def _send(self, code: int, raw: bytes, headers: dict[str, str]) -> None:
        self._done(code)
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def _done(self, code: int) -> None:
        with self.shared.lock:
            self.shared.log[self._index] = replace(self.shared.log[self._index], code=code)

    def _watch(self, asked: Asked, began: float) -> None:
        events = self.shared.service.watch(asked)
        first = next(events, None)  # an error before the first event is an HTTP status
        self._done(200)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.shared.lock:
            self.shared.watches += 1
        try:
            self._stream(first, events, began)
        finally:
            with self.shared.lock:
                self.shared.watches -= 1
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, first: Object | None, events: Iterator[Object | None], began: float) -> None:
        for event in _chain(first, events):
            if self.shared.cut_at > began:
                raise CutError
            if event is None:
                self._look_for_the_end()
                continue
            raw = json.dumps(event).encode() + b"\n"
            if self.shared.faults.take("watch", self.path, truncate=True) is not None:
                self._chunk(raw[: len(raw) // 2])
                raise CutError
            self._chunk(raw)

    def _exec(self) -> None:
        """Run a command in a container, if there is somebody to run it."""
        parts = urlsplit(self.path)
        found, query = _EXEC.fullmatch(parts.path), parse_qs(parts.query)
        assert found is not None
        if self.headers.get("Upgrade", "").lower() != "websocket":
            raise ApiError(400, "BadRequest", "Upgrade request required")
        if PROTOCOL not in self.headers.get("Sec-WebSocket-Protocol", ""):
            raise ApiError(403, "Forbidden", "no subprotocol that is known here")
        container = query.get("container", [""])[0]
        service = self.shared.service
        ended = service.execute(found["namespace"], found["pod"], container, query["command"])
        self._done(101)
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_key(self.headers["Sec-WebSocket-Key"]))
        self.send_header("Sec-WebSocket-Protocol", PROTOCOL)
        self.end_headers()
        for frame in frames(*ended):
            self.wfile.write(frame)
        self.close_connection = True

    def _chunk(self, raw: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(raw), raw))
        self.wfile.flush()

    def _look_for_the_end(self) -> None:
        """Notice a client that went away."""
        if isinstance(self.connection, ssl.SSLSocket):
            return
        readable, _, _ = select.select([self.connection], [], [], 0)
        if readable and self.connection.recv(1, socket.MSG_PEEK) == b"":
            raise CutError

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        # Let no orderly shutdown of the base class soften the reset.
        with contextlib.suppress(OSError):
            self.connection.close()


def _chain(first: Object | None, rest: Iterator[Object | None]) -> Iterator[Object | None]:
    yield first
    yield from rest
