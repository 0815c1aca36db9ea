"""UDP flows, counted at the receiver: a program for the inside of nodes and pods.

Standard library only; run as ``python -I -S udp_probe.py receive|send JSON``.

``receive``  JSON: {"port"}. Prints "ready", receives on all addresses of both families until its
             standard input ends, then prints one JSON object: for each flow how many distinct
             packets came, how many twice, the longest time without one, and its first and last
             arrival.
``send``     JSON: {"flows": [{"id", "source_port", "address", "port"}], "rate", "count"}. Prints
             "ready", starts when it reads a line, sends *count* packets on each flow at *rate*
             a second and flow, then prints what it planned, sent, and could not send. A line
             "stop" ends it early; what was planned by then is what counts.

Times are CLOCK_MONOTONIC in seconds, the same clock in every namespace of a machine. A packet
holds flow id, sequence number and sending time. Sockets are not connected, so that an ICMP error
ends nothing; a late sender catches up rather than leave packets out.
"""

import json
import os
import select
import socket
import struct
import sys
import time

PACKET = struct.Struct("!IIQ")
PADDED = 64


def receive(plan: dict) -> None:  # type: ignore[type-arg]
    """Count until standard input ends."""
    sockets = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, plan["port"]))
        sock.setblocking(False)
        sockets.append(sock)
    poller = select.poll()
    by_fd = {sock.fileno(): sock for sock in sockets}
    for fd in (0, *by_fd):
        poller.register(fd, select.POLLIN)
    flows: dict[int, Flow] = {}
    say("ready")
    while True:
        for fd, _ in poller.poll():
            if fd == 0:
                if not os.read(0, 4096):
                    say(json.dumps({str(key): flow.report() for key, flow in flows.items()}))
                    return
                continue
            drain(by_fd[fd], flows)


def drain(sock: socket.socket, flows: "dict[int, Flow]") -> None:
    """Take every waiting packet of a socket."""
    while True:
        try:
            data = sock.recv(2048)
        except BlockingIOError:
            return
        now = time.monotonic()
        if len(data) >= PACKET.size:
            flow_id, sequence, _ = PACKET.unpack_from(data)
            flow = flows.get(flow_id)
            if flow is None:
                flow = flows[flow_id] = Flow()
            flow.arrived(sequence, now)


class Flow:
    """What arrived of one flow."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.twice = 0
        self.first = self.last = 0.0
        self.gap = 0.0
        self.gap_at = 0.0

    def arrived(self, sequence: int, now: float) -> None:
        """Count one packet."""
        if sequence in self.seen:
            self.twice += 1
            return
        if self.seen:
            gap = now - self.last
            if gap > self.gap:
                self.gap, self.gap_at = gap, self.last
        else:
            self.first = now
        self.seen.add(sequence)
        self.last = now

    def report(self) -> dict:  # type: ignore[type-arg]
        """Return the counts; times in seconds."""
        return {
            "received": len(self.seen),
            "twice": self.twice,
            "first": self.first,
            "last": self.last,
            "gap_s": self.gap,
            "gap_at": self.gap_at,
            "highest": max(self.seen),
        }


def send(plan: dict) -> None:  # type: ignore[type-arg]
    """Send the planned packets on time."""
    sends = []
    for flow in plan["flows"]:
        family = socket.AF_INET6 if ":" in flow["address"] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", flow["source_port"]))
        sends.append((flow["id"], sock.sendto, (flow["address"], flow["port"])))
    say("ready")
    sys.stdin.buffer.readline()
    padding = bytes(PADDED - PACKET.size)
    step = 1 / (plan["rate"] * len(sends))
    total = plan["count"] * len(sends)
    errors: dict[str, int] = {}
    sent = attempted = 0
    start = time.monotonic()
    late = 0.0
    while attempted < total:
        now = time.monotonic()
        due = min(total, int((now - start) / step) + 1)
        if due > attempted:
            late = max(late, now - start - attempted * step)
        while attempted < due:
            sequence, index = divmod(attempted, len(sends))
            flow_id, sendto, target = sends[index]
            attempted += 1
            try:
                sendto(PACKET.pack(flow_id, sequence, time.monotonic_ns()) + padding, target)
                sent += 1
            except OSError as error:
                errors[str(error)] = errors.get(str(error), 0) + 1
        pause = max(0.0, start + attempted * step - time.monotonic())
        if select.select([0], [], [], pause)[0]:
            break
    end = time.monotonic()
    say(
        json.dumps(
            {
                "planned": min(total, int((end - start) / step) + 1),
                "sent": sent,
                "errors": errors,
                "start": start,
                "end": end,
                "late_s": late,
                "attempted": {
                    str(entry[0]): (attempted - index + len(sends) - 1) // len(sends)
                    for index, entry in enumerate(sends)
                },
            }
        )
    )


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"receive": receive, "send": send}[sys.argv[1]](json.loads(sys.argv[2]))
