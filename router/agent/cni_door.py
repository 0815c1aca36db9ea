"""Ask the CNI server of this node what it has, over its operators' door. SHELL."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cni.wire import Door, Request, parse_reply, render_request

Json = Mapping[str, Any]

_TIMEOUT_S: Final = 10.0


def ask_server(run_dir: Path, timeout_s: float = _TIMEOUT_S) -> Json:
    """Return the server's overview (`cni.server.overview`).

    Raises OSError when there is none, with words that say why the server does not answer.
    """
    path = run_dir / "cni.sock"
    try:
        received = _ask(path, timeout_s)
    except (FileNotFoundError, ConnectionRefusedError):
        raise OSError(f"it does not run (nobody listens at {path})") from None
    except TimeoutError:
        raise OSError(f"it runs and said nothing for {timeout_s:g} s") from None
    try:
        _, body = parse_reply(received)
        answer: Json = json.loads(body)
    except ValueError as error:
        raise OSError(f"its answer is malformed: {error}") from None
    return answer


def _ask(path: Path, timeout_s: float) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        connection.sendall(render_request(Request(variables={}, stdin=b"{}", door=Door.OPERATOR)))
        received = bytearray()
        while data := connection.recv(1 << 16):
            received += data
    return bytes(received)
