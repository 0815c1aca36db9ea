"""A client that connects all the while, and who answers."""

from __future__ import annotations

import subprocess
import sys
import threading

from containerlab.netlab.node import Node
from tests.support.wait import wait_until

# Connects every 10 ms; one line for each connection.
_PROBE = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.9) as connection:
            print(connection.recv(100).decode() or "failed: closed without a word", flush=True)
    except OSError as error:
        print(f"failed: {error}", flush=True)
    time.sleep(0.01)
"""


class Probe:
    """A client that connects all the while."""

    def __init__(self, client: Node, vip: str, port: int) -> None:
        self._lines: list[str] = []
        self._process = client.popen(
            [sys.executable, "-c", _PROBE, vip, str(port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.strip())

    def wait_connections(self, count: int = 20) -> None:
        """Wait for so many more, answered or not."""
        wanted = len(self._lines) + count
        wait_until(lambda: len(self._lines) >= wanted, deadline_s=30, what=f"{count} connections")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def answers(self) -> set[str]:
        """Return who answered, and whom it took for the client."""
        return {line for line in self._lines if not line.startswith("failed")}

    @property
    def failures(self) -> list[str]:
        return [line for line in self._lines if line.startswith("failed")]

    @property
    def nodes(self) -> set[str]:
        return {answer.split()[0] for answer in self.answers}
