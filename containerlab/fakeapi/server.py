"""HTTP(S) in front of the fake API, with faults and a log of all requests.

with FakeApi() as api:
    api.put("nodes", node("node1", ...))
    ... api.url ...
    api.down(); api.up()
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

from containerlab.fakeapi.faults import Faults, Rule
from containerlab.fakeapi.handler import RESET, Server, Shared
from containerlab.fakeapi.request import Asked, Logged
from containerlab.fakeapi.resources import Resource
from containerlab.fakeapi.service import Service
from containerlab.fakeapi.store import Object
from containerlab.fakeapi.tls import Certificates


class FakeApi:
    """A running fake API server; a context manager."""

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        certificates: Certificates | None = None,
        tokens: Mapping[str, str] | None = None,
        bookmark_s: float = 60.0,
    ) -> None:
        """*tokens* maps bearer tokens to user names; None lets everyone in."""
        self.service = Service(bookmark_s=bookmark_s)
        self.faults = Faults()
        self.certificates = certificates
        self._shared = Shared(
            service=self.service,
            faults=self.faults,
            tokens=dict(tokens) if tokens is not None else None,
        )
        self._address = (address, port)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.up()

    def __enter__(self) -> FakeApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def url(self) -> str:
        """Where it answers."""
        host, port = self._address
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.certificates else 'http'}://{shown}:{port}"

    # --- faults ---------------------------------------------------------------------------------

    def up(self) -> None:
        """Listen, at the address of before."""
        if self._server is not None:
            return
        server = Server(self._address, self._shared)
        self._address = (self._address[0], server.server_address[1])
        if self.certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificates.certificate, self.certificates.key)
            # The handshake is the handler's: a slow client must not stop others from coming in.
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, args=(0.02,), name="fake-api", daemon=True
        )
        self._thread.start()

    def down(self) -> None:
        """Refuse connections and cut those there are."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        self.faults.clear()
        self.cut()
        if self._thread is not None:
            self._thread.join(5)

    def cut(self) -> None:
        """Reset every open connection, watches and idle ones alike."""
        with self._shared.lock:
            self._shared.cut_at = time.monotonic()
            connections = list(self._shared.connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def fail(self, **rule: Any) -> None:
        """Add a fault; see `faults.Rule`."""
        self.faults.add(Rule(**rule))

    def compact(self) -> None:
        """Forget history."""
        self.service.compact()

    # --- objects --------------------------------------------------------------------------------

    def put(self, plural: str, found: Object, *, namespace: str = "") -> Object:
        """Create an object, status included, past all doors."""
        resource = self._resource(plural)
        if resource.schema is None and plural != "customresourcedefinitions":
            return self.service.store.create(resource, namespace, found)
        asked = self._asked("create", plural, namespace, strict=True)
        return self.service.answer(asked, found, "")[1]

    def get(self, plural: str, name: str, *, namespace: str = "") -> Object:
        """Return an object."""
        return self.service.store.read(self._resource(plural), namespace, name)

    def patch(self, plural: str, name: str, patch: Object, *, namespace: str = "") -> Object:
        """Change an object by a merge patch, spec through one door and status through the other."""
        found: Object = {}
        for status in (False, True):
            asked = self._asked("patch", plural, namespace, name=name, status=status)
            _, found = self.service.answer(asked, patch, "application/merge-patch+json")
        return found

    def delete(self, plural: str, name: str, *, namespace: str = "") -> None:
        """Delete an object."""
        self.service.answer(self._asked("delete", plural, namespace, name=name), None, "")

    def _resource(self, plural: str) -> Resource:
        return next(each for each in self.service.resources if each.plural == plural)

    def _asked(
        self,
        verb: str,
        plural: str,
        namespace: str,
        *,
        name: str = "",
        status: bool = False,
        strict: bool = False,
    ) -> Asked:
        return Asked(
            verb=verb,
            resource=self._resource(plural),
            namespace=namespace,
            name=name,
            status=status,
            query={"fieldValidation": "Strict"} if strict else {},
        )

    # --- log ------------------------------------------------------------------------------------

    def requests(self, *verbs: str, path: str = "") -> list[Logged]:
        """Return the requests so far, of these verbs and with this in their path."""
        with self._shared.lock:
            return [
                entry
                for entry in self._shared.log
                if (not verbs or entry.verb in verbs) and path in entry.path
            ]

    def open_watches(self) -> int:
        """Return how many watches are being served."""
        return self._shared.watches
