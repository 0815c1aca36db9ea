"""Metrics on a TCP port of the operator's choice. SHELL.

GET /metrics and nothing else; one at a time, so that impatient scrapers cannot keep the loop busy.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Final

from router.agent.api import RequestError
from router.agent.door import Door
from router.agent.exposition import CONTENT_TYPE
from router.agent.requests import ClosedError

_log = logging.getLogger(__name__)
_TIMEOUT_S: Final = 5.0


class _Request(BaseHTTPRequestHandler):
    server: _Server
    server_version = "podroute"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer a scrape."""
        status, text = 200, ""
        if self.path.partition("?")[0] != "/metrics":
            status, text = 404, "there is /metrics only\n"
        else:
            try:
                with self.server.turn:
                    text = self.server.render()
            except RequestError as error:
                status, text = error.status, f"{error}\n"
            except (ClosedError, TimeoutError):
                status, text = 503, "the agent's loop did not answer\n"
        payload = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: scrapes come every few seconds."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], render: Callable[[], str]) -> None:
        self.render = render
        self.turn = threading.Lock()
        if ip_address(address[0]).version == 6:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Request)
        threading.Thread(target=self.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A scraper that leaves early is no matter."""
        _log.debug("scrape failed", exc_info=True)


def metrics_door(render: Callable[[], str]) -> Door:
    """Return the door of the metrics; `render` is called in threads of its own."""
    return Door("metrics", "metrics.listen", lambda address: _Server(address, render))
