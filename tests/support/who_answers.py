"""A server that says who it is and whom it takes for the client, and one question to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

# Arguments: name, port. One answer per connection; datagrams come back as they are.
SERVER = """
import socket, sys, threading
server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True,
                              backlog=128)
datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
datagrams.bind(("::", int(sys.argv[2])))
def echo():
    while True:
        datagrams.sendto(*datagrams.recvfrom(2000))
threading.Thread(target=echo, daemon=True).start()
while True:
    connection, client = server.accept()
    try:
        connection.sendall(f"{sys.argv[1]} {client[0].removeprefix('::ffff:')}".encode())
    except OSError:
        pass
    connection.close()
"""
# Arguments: address, port, timeout in seconds, how often.
_QUESTION = """
import socket, sys, time
for _ in range(int(sys.argv[4])):
    began = time.monotonic()
    try:
        with socket.create_connection(sys.argv[1:3], timeout=float(sys.argv[3])) as connection:
            words = connection.recv(100).decode() or "failed: closed without a word"
    except OSError as error:
        words = f"failed: {error}"
    print(time.monotonic() - began, words)
"""


class Place(Protocol):
    """Where programs run."""

    def run(
        self, argv: Sequence[str | Path], *, check: bool = True, timeout_s: float = 10
    ) -> subprocess.CompletedProcess[str]: ...


class Asked(NamedTuple):
    """What came of one connection."""

    text: str
    took_s: float

    @property
    def failure(self) -> str:
        """Return why there was no answer; "" if there was one."""
        return self.text if self.text.startswith("failed") else ""

    @property
    def answer(self) -> str:
        """Return the answer; "" if there was none."""
        return "" if self.failure else self.text

    @property
    def who(self) -> str:
        """Return who answered, or the failure."""
        return self.failure or self.text.split()[0]

    @property
    def client(self) -> str:
        """Return whom the server took for the client."""
        return self.failure or self.text.split()[1]


def ask(
    place: Place, address: str, port: int, *, timeout_s: float = 5, enter: Sequence[str] = ()
) -> Asked:
    """Connect once, from a place, or what `enter` leads to in it."""
    (asked,) = ask_often(place, address, port, times=1, timeout_s=timeout_s, enter=enter)
    return asked


def ask_often(
    place: Place,
    address: str,
    port: int,
    *,
    times: int,
    timeout_s: float = 5,
    enter: Sequence[str] = (),
) -> list[Asked]:
    """Connect so many times, one after the other."""
    argv = [*enter, sys.executable, "-I", "-S", "-c", _QUESTION]
    argv += [address, str(port), str(timeout_s), str(times)]
    done = place.run(argv, timeout_s=times * timeout_s + 20)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return [Asked(words, float(took)) for took, words in lines]
