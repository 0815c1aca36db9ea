"""A BGP peer that sends bytes made beforehand, as fast as the other end takes them.

As a program (`python -m tests.support.raw_speaker ADDRESS ASN`) it listens on port 179, in a
namespace, accepts one session after the other, answers OPEN and KEEPALIVE, and does what its
standard input says, one JSON line each; as a module it offers `RawSpeaker`, the test's end. What
it receives it counts and keeps the NOTIFICATIONs of.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from bgp.nlri import Prefix
from tests.support.bgp_wire import (
    END_OF_RIB,
    KEEPALIVE,
    NOTIFICATION,
    OPEN,
    UPDATE,
    announcement,
    message,
    withdrawal,
)
from tests.support.netns import Namespace
from tests.support.wait import wait_until

ROOT = Path(__file__).resolve().parents[2]
HOLD_TIME_S = 90
PER_MESSAGE = {4: 1000, 6: 400}
FIRST = {4: (10 << 24, 24), 6: (0xFD000244 << 96, 64)}


def prefixes(family: int, count: int) -> list[Prefix]:
    """Return as many pod CIDRs, one behind the other: /24 from 10.0.0.0, /64 from fd00:244::."""
    first, length = FIRST[family]
    step = 1 << ((32 if family == 4 else 128) - length)
    return [Prefix(family, first + i * step, length) for i in range(count)]


def updates(family: int, count: int, *, distinct: bool, hop: str, asn: int) -> bytes:
    """Return messages that announce them, with an AS path for all or one for each."""
    every = prefixes(family, count)
    if distinct:
        bodies = [announcement([p], hop, asn, 100_000 + i) for i, p in enumerate(every)]
    else:
        size = PER_MESSAGE[family]
        bodies = [announcement(every[i : i + size], hop, asn, 65000) for i in range(0, count, size)]
    return b"".join(message(UPDATE, raw) for raw in bodies)


def withdrawals(family: int, count: int) -> bytes:
    """Return messages that withdraw them."""
    every, size = prefixes(family, count), PER_MESSAGE[family] // 2
    bodies = [withdrawal(every[i : i + size]) for i in range(0, count, size)]
    return b"".join(message(UPDATE, raw) for raw in bodies)


def open_message(asn: int, router_id: str, family: int) -> bytes:
    """Return an OPEN with one family, route refresh and four-octet numbers."""
    capabilities = (
        struct.pack(">BBHBB", 1, 4, 1 if family == 4 else 2, 0, 1)
        + b"\2\0"
        + struct.pack(">BBI", 65, 4, asn)
    )
    parameter = bytes((2, len(capabilities))) + capabilities
    head = struct.pack(">BHH", 4, min(asn, 23456) if asn > 65535 else asn, HOLD_TIME_S)
    return message(OPEN, head + ip_address(router_id).packed + bytes((len(parameter),)) + parameter)


class RawSpeaker:
    """The test's end of the program."""

    def __init__(self, namespace: Namespace, address: str, asn: int) -> None:
        self._process = namespace.popen(
            [sys.executable, "-m", "tests.support.raw_speaker", address, str(asn)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def ask(self, **request: Any) -> Any:
        """Send a request; return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def prepare(self, name: str, **what: Any) -> None:
        """Make the bytes of `updates` or, with `withdraw=True`, `withdrawals` under a name."""
        self.ask(do="prepare", name=name, **what)

    def send(self, name: str) -> float:
        """Begin to send prepared bytes; return the monotonic time of the first."""
        return float(self.ask(do="send", name=name)["at"])

    def send_bodies(self, *bodies: bytes) -> None:
        """Send UPDATEs with these bodies."""
        self.ask(do="bytes", hex=b"".join(message(UPDATE, b) for b in bodies).hex())

    def state(self) -> Any:
        """Return established, sessions, notifications, octets still to send, messages received."""
        return self.ask(do="state")

    def wait_established(self, deadline_s: float = 30) -> None:
        """Wait for a session."""
        wait_until(
            lambda: self.state()["established"], deadline_s=deadline_s, what="raw session is up"
        )

    def close(self) -> None:
        """End the program."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(timeout=5)


class _Program:
    def __init__(self, address: str, asn: int) -> None:
        self.family = ip_address(address).version
        self.address, self.asn = address, asn
        domain = socket.AF_INET if self.family == 4 else socket.AF_INET6
        self.listener = socket.socket(domain, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 179))
        self.listener.listen(4)
        self.session: socket.socket | None = None
        self.prepared: dict[str, bytes] = {}
        self.outgoing: memoryview = memoryview(b"")
        self.incoming = b""
        self.established = False
        self.sessions = 0
        self.received: dict[str, int] = {}
        self.notifications: list[str] = []
        self.kept_alive_at = 0.0
        self.requests = b""

    def run(self) -> None:
        while True:
            readers: list[Any] = [0, self.listener, *([self.session] if self.session else [])]
            writers = [self.session] if self.session and self.outgoing else []
            ready, writable, _ = select.select(readers, writers, [], 1.0)
            if self.listener in ready:
                self.accept()
            elif self.session in ready:
                self.receive()
            if self.session in writable:
                self.flush()
            if 0 in ready and not self.serve():
                return
            if self.established and not self.outgoing:
                self.keep_alive()

    def accept(self) -> None:
        self.drop()
        self.session, _ = self.listener.accept()
        self.session.setblocking(False)
        self.sessions += 1
        self.session.sendall(open_message(self.asn, f"10.255.0.{self.asn % 200 + 1}", self.family))
        self.session.sendall(message(KEEPALIVE))

    def drop(self) -> None:
        if self.session is not None:
            self.session.close()
        self.session, self.established, self.incoming = None, False, b""
        self.outgoing = memoryview(b"")

    def receive(self) -> None:
        assert self.session is not None
        try:
            data = self.session.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self.drop()
            return
        self.incoming += data
        while len(self.incoming) >= 19:
            length = int.from_bytes(self.incoming[16:18], "big")
            if len(self.incoming) < length:
                break
            raw, self.incoming = self.incoming[:length], self.incoming[length:]
            self.received[str(raw[18])] = self.received.get(str(raw[18]), 0) + 1
            if raw[18] == KEEPALIVE:
                self.established = True
            elif raw[18] == NOTIFICATION:
                self.notifications.append(f"{raw[19]}/{raw[20]}")

    def flush(self) -> None:
        assert self.session is not None
        try:
            sent = self.session.send(self.outgoing[: 1 << 20])
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        self.outgoing = self.outgoing[sent:]

    def keep_alive(self) -> None:
        now = time.monotonic()
        if self.session is not None and now - self.kept_alive_at > 2:
            self.kept_alive_at = now
            self.outgoing = memoryview(message(KEEPALIVE))

    def serve(self) -> bool:
        data = os.read(0, 1 << 16)
        if not data:
            return False
        *lines, self.requests = (self.requests + data).split(b"\n")
        for line in lines:
            answer = self.answer(json.loads(line))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        return True

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request.pop("do")
        if do == "prepare":
            name, count = request.pop("name"), request.pop("count")
            if request.pop("withdraw", False):
                self.prepared[name] = withdrawals(self.family, count)
            else:
                self.prepared[name] = updates(
                    self.family, count, hop=self.address, asn=self.asn, **request
                ) + message(UPDATE, END_OF_RIB[self.family])
        elif do == "send":
            self.outgoing = memoryview(bytes(self.outgoing) + self.prepared[request["name"]])
        elif do == "bytes":
            self.outgoing = memoryview(bytes(self.outgoing) + bytes.fromhex(request["hex"]))
        at = time.monotonic()
        if self.outgoing and self.session is not None:
            self.flush()
        return {
            "at": at,
            "established": self.established,
            "sessions": self.sessions,
            "notifications": self.notifications,
            "unsent": len(self.outgoing),
            "received": self.received,
        }


if __name__ == "__main__":
    _Program(sys.argv[1], int(sys.argv[2])).run()
