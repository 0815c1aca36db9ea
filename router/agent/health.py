"""Answers for kubelet's probes: HTTP on an address of the operator's choice. SHELL.

/healthz: our own loop turns. /readyz: the verdict of `router.reconcile.readiness`. The two never
speak of each other's matter (invariant 9): a fabric outage restarts no container.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Final, NamedTuple

_TIMEOUT_S: Final = 5.0


class Answer(NamedTuple):
    """What a probe is told."""

    ok: bool
    reason: str


Probe = Callable[[], Answer]


def parse_listen(text: str) -> tuple[str, int]:
    """Read HOST:PORT, an IPv6 host in brackets. Raises ValueError saying what is expected."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:9178")
    return str(ip_address(host.strip("[]"))), int(port)


class _Request(BaseHTTPRequestHandler):
    server: HealthServer
    server_version = "podroute"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        """Answer a probe."""
        probe = self.server.probes.get(self.path)
        answer = Answer(False, f"there is no {self.path}") if probe is None else probe()
        status = 404 if probe is None else 200 if answer.ok else 503
        payload = json.dumps(answer._asdict()).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: probes come every few seconds."""


class HealthServer(ThreadingHTTPServer):
    """The listener; each request in a thread of its own."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], probes: dict[str, Probe]) -> None:
        """Listen at once. Raises OSError naming the address."""
        self.probes = probes
        if ip_address(address[0]).version == 6:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, _Request)
        except OSError as error:
            raise OSError(
                error.errno, f"cannot listen for probes at {address[0]} port {address[1]}"
            ) from error
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
