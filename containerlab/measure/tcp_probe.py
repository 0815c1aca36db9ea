"""Who does the other end see? A program for the inside of nodes and pods.

Standard library only; run as ``python -I -S tcp_probe.py serve PORT`` or ``ask JSON``.

``serve``  Prints "ready", answers every connection on all addresses of both families with the
           address it sees, until its standard input ends.
``ask``    JSON: [[address, port], ...]. Prints a JSON list: for each target {"local": our address
           on that connection, "seen": the address the server said it sees} or {"error": text}.
"""

import json
import os
import select
import socket
import sys

TIMEOUT_S = 3.0


def serve(port: int) -> None:
    """Answer with the address of whoever connects."""
    listeners = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(64)
        listeners.append(sock)
    by_fd = {sock.fileno(): sock for sock in listeners}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready = select.select([0, *by_fd], [], [])[0]
        if 0 in ready and not os.read(0, 4096):
            return
        for fd in filter(None, ready):
            connection, peer = by_fd[fd].accept()
            with connection:
                connection.sendall(peer[0].encode())


def ask(targets: list) -> None:  # type: ignore[type-arg]
    """Print what each target sees of us."""
    answers = []
    for address, port in targets:
        try:
            with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
                seen = connection.recv(100).decode()
                answers.append({"local": connection.getsockname()[0], "seen": seen})
        except OSError as error:
            answers.append({"error": str(error)})
    sys.stdout.write(json.dumps(answers) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        ask(json.loads(sys.argv[2]))
