"""BfdHost: the BFD daemon in a namespace, and a client in the agent's place."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bgp.bfd.report import MAX_BYTES, DaemonReport, SessionReport, parse_report, render_wanted
from bgp.bfd.session import Spec
from tests.support.netns import Namespace, inner_pid
from tests.support.wait import NotYetError, wait_until

ROOT = Path(__file__).resolve().parents[2]
_SOCKET = "run/podroute/bfd/control.sock"


class BfdHost:
    """The daemon of one node; `close` ends both."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._keeper: subprocess.Popen[str] | None = None
        self._client: socket.socket | None = None
        self._wanted: tuple[Spec, ...] | None = None
        self.report: DaemonReport | None = None
        self.start()

    def start(self) -> None:
        """Start the daemon; returns before it answers."""
        self._keeper = self._namespace.popen(
            [sys.executable, "-m", "router", "bfd", "--log-format", "console"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def spec(self, peer: str, local: str, ifname: str, interval_ms: int, *, name: str = "") -> Spec:
        """Return the session with a peer on a link of the namespace."""
        shown = self._namespace.run(["ip", "-j", "link", "show", ifname]).stdout
        index = json.loads(shown)[0]["ifindex"]
        return Spec(name or peer, peer, local, index, interval_ms * 1000, 3)

    def want(self, *specs: Spec) -> None:
        """Make these the sessions."""
        self._wanted = specs
        self._connection().send(render_wanted(specs))

    def hang_up(self) -> None:
        """Be away, as an agent that was killed."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def sessions(self) -> dict[str, SessionReport]:
        """Return what the daemon says now; waits for the first report after a start."""
        for _ in range(2):
            with contextlib.suppress(OSError):
                self._take()
                break
            self.hang_up()
        assert self.report is not None
        return dict(self.report.sessions)

    def wait(
        self, what: str, probe: Callable[[dict[str, SessionReport]], bool], deadline_s: float = 15
    ) -> None:
        """Wait until the sessions are so."""

        def look() -> bool:
            sessions = self.sessions()
            if not probe(sessions):
                raise NotYetError({n: (s.state.name, s.verdict) for n, s in sessions.items()})
            return True

        wait_until(look, deadline_s=deadline_s, what=what)

    def wait_up(self, deadline_s: float = 15) -> None:
        """Wait until every wanted session is Up."""
        names = {spec.name for spec in self._wanted or ()}
        self.wait(
            "BFD up",
            lambda found: (
                found.keys() == names and all(s.state.name == "UP" for s in found.values())
            ),
            deadline_s,
        )

    @property
    def keeper_pid(self) -> int:
        """The keeper's pid as we see it."""
        assert self._keeper is not None
        return inner_pid(self._keeper)

    @property
    def daemon_pid(self) -> int:
        """The daemon's pid as we see it."""
        keeper = self.keeper_pid
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        if not children:
            raise NotYetError("no daemon")
        return int(children[0])

    def kill_daemon(self) -> None:
        """Kill the daemon and wait until another one has taken its place."""
        before = self.daemon_pid
        os.kill(before, signal.SIGKILL)
        self.hang_up()
        wait_until(lambda: self.daemon_pid != before, deadline_s=5, what="the next daemon")

    def kill_all(self) -> None:
        """Kill keeper and daemon."""
        assert self._keeper is not None
        os.kill(self.keeper_pid, signal.SIGKILL)
        self._keeper.wait(timeout=5)
        self.hang_up()

    def stop(self) -> int:
        """End it as systemd does; return its exit status."""
        assert self._keeper is not None
        os.kill(self.keeper_pid, signal.SIGTERM)
        self.hang_up()
        return self._keeper.wait(timeout=5)

    def _take(self) -> None:
        client = self._connection()
        while select.select([client], [], [], 0 if self.report else 5)[0]:
            text = client.recv(MAX_BYTES)
            if not text:
                raise ConnectionResetError
            self.report = parse_report(text)

    def _connection(self) -> socket.socket:
        if self._client is None:
            path = f"/proc/{self._namespace.pid}/root/{_SOCKET}"
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

            def connect() -> bool:
                try:
                    client.connect(path)
                except OSError as error:
                    raise NotYetError(str(error)) from error
                return True

            wait_until(connect, deadline_s=5, what="the BFD daemon's socket")
            self._client, self.report = client, None
        return self._client

    def __enter__(self) -> BfdHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        if self._keeper is not None and self._keeper.poll() is None:
            self.kill_all()


def link_local(namespace: Namespace, ifname: str) -> str:
    """Return the link-local address of a link once it may be used."""

    def look() -> str:
        shown = namespace.run(["ip", "-j", "-6", "addr", "show", "dev", ifname]).stdout
        found = [
            item["local"]
            for item in json.loads(shown)[0]["addr_info"]
            if item["scope"] == "link" and not item.get("tentative")
        ]
        return found[0] if found else ""

    return wait_until(look, deadline_s=10, what=f"link-local address of {ifname}")


def drop_silently(namespace: Namespace, ifname: str) -> float:
    """Let nothing in or out of a link, carrier kept; return the monotonic time it began."""
    rules = "\n".join(
        f"add chain netdev cut {hook} {{ type filter hook {hook} device {ifname} priority 0;"
        " policy drop; }"
        for hook in ("ingress", "egress")
    )
    namespace.run(["nft", "-f", "-"], input=f"add table netdev cut\n{rules}\n")
    return time.monotonic()


def heal(namespace: Namespace) -> None:
    """Take `drop_silently` back."""
    namespace.run(["nft", "delete", "table", "netdev", "cut"])
