"""The server's half of WebSocket (RFC 6455), as far as `exec` needs it: it only sends.

Frames from the server are not masked (section 5.1). Channels are those of v4.channel.k8s.io.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

PROTOCOL: Final = "v4.channel.k8s.io"
_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE = 0x82, 0x88
_STDOUT, _STDERR, _ERROR = 1, 2, 3
_PIECE: Final = 4096


def accept_key(key: str) -> str:
    """Return what proves that the request was understood (section 4.2.2)."""
    return base64.b64encode(
        hashlib.sha1(key.encode() + _MAGIC, usedforsecurity=False).digest()
    ).decode()


def outcome(status: int) -> dict[str, Any]:
    """Return the Status object that ends a command."""
    if status == 0:
        return {"metadata": {}, "status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(status)}]
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {status}",
        "details": {"causes": causes},
    }


def frames(status: int, stdout: bytes, stderr: bytes) -> list[bytes]:
    """Return all that is sent of a command that has ended, in pieces as a runtime sends them."""
    sent = [
        _frame(_BINARY, bytes([channel]) + data[at : at + _PIECE])
        for channel, data in ((_STDOUT, stdout), (_STDERR, stderr))
        for at in range(0, len(data), _PIECE)
    ]
    last = bytes([_ERROR]) + json.dumps(outcome(status)).encode()
    return [*sent, _frame(_BINARY, last), _frame(_CLOSE, (1000).to_bytes(2, "big"))]


def _frame(kind: int, payload: bytes) -> bytes:
    length = len(payload)
    size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
    return bytes([kind]) + size + payload
