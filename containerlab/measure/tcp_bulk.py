"""A lot over one TCP connection, both ways: a program for the inside of nodes and pods.

Standard library only; run as ``python -I -S tcp_bulk.py serve PORT`` or ``ask JSON``.

``serve``  Prints "ready", sends back whatever comes on a connection, until standard input ends.
``ask``    JSON: {"address", "port", "bytes", "timeout_s"}. Sends that many bytes, receives as many,
           and prints {"received", "segment"}: the bytes that came back, and the kernel's segment
           size for sending at the end (tcp_info.tcpi_snd_mss of linux/tcp.h).
"""

import json
import os
import select
import socket
import struct
import sys
import threading
import time

CHUNK = 1 << 16
SND_MSS_AT = 8 + 2 * 4
"""Eight bytes of flags, then tcpi_rto, tcpi_ato, tcpi_snd_mss."""


def serve(port: int) -> None:
    """Echo."""
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready = select.select([0, listener.fileno()], [], [])[0]
        if 0 in ready and not os.read(0, 4096):
            return
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    """Send back what comes."""
    with connection:
        try:
            while data := connection.recv(CHUNK):
                connection.sendall(data)
        except OSError:
            return


def ask(plan: dict) -> None:  # type: ignore[type-arg]
    """Send and receive until all is back or the time is up."""
    end = time.monotonic() + plan["timeout_s"]
    received = segment = 0
    try:
        with socket.create_connection((plan["address"], plan["port"]), plan["timeout_s"]) as sock:
            sock.setblocking(False)
            to_send = memoryview(bytes(plan["bytes"]))
            while received < plan["bytes"] and time.monotonic() < end:
                writers = [sock] if to_send else []
                readable, writable, _ = select.select([sock], writers, [], 0.1)
                if writable:
                    to_send = to_send[sock.send(to_send[:CHUNK]) :]
                if readable:
                    received += len(sock.recv(CHUNK))
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
            segment = struct.unpack_from("=I", info, SND_MSS_AT)[0]
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    sys.stdout.write(json.dumps({"received": received, "segment": segment}) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        ask(json.loads(sys.argv[2]))
