"""The agent's local interface: HTTP over a unix socket, for root only. SHELL.

GET /v1/status, /v1/peers, /v1/routes, /v1/why?of=PREFIX answer JSON; POST /v1/stop ends the agent.
GET /metrics answers in Prometheus's text format. Try it with
`curl --unix-socket /run/podroute/router.sock http://localhost/v1/status`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socketserver
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from router.agent.exposition import CONTENT_TYPE
from router.agent.requests import ClosedError

_log = logging.getLogger(__name__)
_MAX_BODY: Final = 64 * 1024
_TIMEOUT_S: Final = 5.0
_ROOT_ONLY: Final = 0o600

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any] | str]
"""Takes the request's JSON object and query, returns the answer's, or text (metrics).

Raises RequestError."""


class RequestError(Exception):
    """A request that gets an HTTP error and one clear sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Request(BaseHTTPRequestHandler):
    """One request; the routes hang on the server."""

    server: LocalApi
    server_version = "podroute"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Carry out a command."""
        self._answer("POST")

    def _answer(self, method: str) -> None:
        body: Mapping[str, Any] | str
        try:
            path, _, query = self.path.partition("?")
            handler = self.server.routes.get((method, path))
            if handler is None:
                raise RequestError(404, f"there is no {method} {self.path}")
            status, body = 200, handler({**dict(parse_qsl(query)), **self._body()})
        except RequestError as error:
            status, body = error.status, {"error": str(error)}
        except ClosedError as error:
            status, body = 503, {"error": str(error)}
        except TimeoutError:
            status, body = 503, {"error": "the agent's loop did not answer in time"}
        is_text = isinstance(body, str)
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE if is_text else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _body(self) -> Mapping[str, Any]:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            raise RequestError(413, f"a request body has at most {_MAX_BODY} bytes")
        try:
            body = json.loads(self.rfile.read(int(length)) or b"{}")
        except ValueError as error:
            raise RequestError(400, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise RequestError(400, "the body must be a JSON object")
        return body

    def address_string(self) -> str:
        """Return who asks; a unix socket has no address to name."""
        return "local"

    def log_message(self, format: str, *args: object) -> None:
        """Say what was asked only when debugging."""
        _log.debug("request served", extra={"request": format % args})


class LocalApi(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server; each request in a thread of its own."""

    # Closing waits for answers under way, so that `stop` gets its own.
    daemon_threads = False

    def __init__(self, path: Path, routes: Mapping[tuple[str, str], Handler]) -> None:
        """Listen at `path`, replacing a socket left by a dead agent."""
        self.routes = routes
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        mask = os.umask(0o777 & ~_ROOT_ONLY)
        try:
            super().__init__(str(path), _Request)
        finally:
            os.umask(mask)
        threading.Thread(target=self.serve_forever, name="local-api", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self.shutdown()
        self.server_close()
        with contextlib.suppress(FileNotFoundError):
            Path(str(self.server_address)).unlink()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log what went wrong with one request; others go on."""
        _log.debug("request failed", exc_info=True)
