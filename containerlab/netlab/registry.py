"""Finding a lab that a keeper process holds: through an abstract unix socket, so without a file.

An abstract name belongs to the keeper's network namespace and vanishes with its process, whatever
kills it (unix(7)); `bind` is therefore also the lock against starting a lab twice. The protocol is
one JSON word asked, one JSON object answered, then end of file.
"""

import hashlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

from containerlab.netlab.errors import KeeperError

_PREFIX = "podroute-netlab"
_ANSWER_S = 60.0


def lab_name(path: Path) -> str:
    """Return the name people use for a topology file: its folder's."""
    return path.absolute().parent.name


def address(path: Path) -> str:
    """Return the abstract socket address (leading NUL) of the keeper of `path`.

    The folder's inode names it, not its path: ./dev may show two checkouts in the same place.
    """
    state = path.absolute().parent.stat()
    identity = f"{state.st_dev}:{state.st_ino}:{path.name}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return f"\0{_PREFIX}/{digest}/{lab_name(path)[:60]}"


def ask(path: Path, question: str) -> dict[str, Any]:
    """Ask the keeper of `path`; KeeperError if the lab is not up or the keeper refuses."""
    with connect(path) as connection:
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as stream:
            text = stream.read()
    if not text:
        raise KeeperError(f"the keeper of lab {lab_name(path)} ended without an answer")
    answer: dict[str, Any] = json.loads(text)
    if "error" in answer:
        raise KeeperError(answer["error"])
    return answer


def connect(path: Path) -> socket.socket:
    """Return a connection to the keeper of `path`; KeeperError if there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(_ANSWER_S)
    try:
        connection.connect(address(path))
    except OSError:
        connection.close()
        raise KeeperError(f"lab {lab_name(path)} is not up") from None
    # Anybody may bind an abstract name; only root's keeper is one.
    if peer_credentials(connection)[1] != 0:
        connection.close()
        raise KeeperError(f"lab {lab_name(path)}: its socket belongs to somebody else")
    return connection


def peer_credentials(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of the process at the other end (SO_PEERCRED)."""
    size = struct.calcsize("3i")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, _ = struct.unpack("3i", raw)
    return pid, uid


def kept_addresses() -> frozenset[str]:
    """Return the addresses of all keepers that listen on this machine."""
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines():
        word = line.rsplit(" ", 1)[-1]
        if word.startswith(f"@{_PREFIX}/"):
            found.add("\0" + word[1:])
    return frozenset(found)
