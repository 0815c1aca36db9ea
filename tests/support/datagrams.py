"""A client that sends datagrams all the while and counts what comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

from containerlab.netlab.node import Node

# Arguments: address, port, flows, milliseconds between datagrams. Ends with standard input, after a
# second for the last answers. A flow is a source port: routers spread them over their ways.
_CLIENT = """
import json, select, socket, sys, time
address, port, flows, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(flows)]
for each in sockets:
    each.connect((address, port))
    each.setblocking(False)
sent, back, end, due = 0, set(), None, time.monotonic()
while end is None or time.monotonic() < end:
    now = time.monotonic()
    if end is None and now >= due:
        due = max(due + pause / 1e3, now - 0.1)
        try:
            sockets[sent % flows].send(str(sent).encode())
        except OSError:
            pass
        sent += 1
    waits = [*sockets] if end is not None else [*sockets, sys.stdin]
    for each in select.select(waits, [], [], 0 if end is None and now >= due else 0.001)[0]:
        if each is sys.stdin:
            if not sys.stdin.read(1):
                end = time.monotonic() + 1
            continue
        try:
            back.add(int(each.recv(100)))
        except OSError:
            pass
print(json.dumps({"sent": sent, "lost": [n for n in range(sent) if n not in back]}))
"""


class Heard(NamedTuple):
    """What came of a stream."""

    sent: int
    lost: tuple[int, ...]
    """Numbers of datagrams without an answer, in the order of sending."""


class Stream:
    """Begins at once; `end` counts."""

    def __init__(
        self, client: Node, address: str, port: int, *, flows: int = 16, pause_ms: float = 2
    ) -> None:
        self._process = client.popen(
            [sys.executable, "-I", "-S", "-c", _CLIENT, address, str(port), str(flows),
             str(pause_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self) -> Heard:
        """Send no more, and return what has come back within a second."""
        said, complaint = self._process.communicate(timeout=20)
        assert self._process.returncode == 0, complaint
        counts = json.loads(said)
        return Heard(counts["sent"], tuple(counts["lost"]))

    def close(self) -> None:
        """End it, whatever happened; idempotent."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()
