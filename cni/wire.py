"""The framing between the shim and the CNI server. PURE: bytes in, values out.

Request:  magic | u32le environment bytes | u32le stdin bytes | environment | stdin.
The magic says who is called: ``PRS1`` the plugin podroute, ``PRI1`` podroute-ipam, which is the
same shim by another name, ``PRO1`` the operator's command line (stdin: a JSON object).
The environment is NUL-terminated ``KEY=VALUE`` items, ``CNI_*`` only. The sandbox, where the
shim could open CNI_NETNS, travels as one descriptor (SCM_RIGHTS) with the first byte.
Reply:    u32le exit code | u32le length | what the shim prints on standard output.
A spooled DEL holds exactly the bytes of a request.

The other side is ``cni/shim/podroute.c``; its limits are generated from the constants here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Door(Enum):
    """Who is called; the value is the magic."""

    PLUGIN = b"PRS1"
    IPAM = b"PRI1"
    OPERATOR = b"PRO1"


MAX_ENVIRONMENT_BYTES: Final = 256 * 1024
MAX_STDIN_BYTES: Final = 4 * 1024 * 1024
MAX_REPLY_BYTES: Final = 4 * 1024 * 1024

_MAGICS: Final = frozenset(door.value[:length] for door in Door for length in range(5))
"""As far as they may have come in."""
_HEADER: Final = struct.Struct("<4sII")
_REPLY: Final = struct.Struct("<II")
HEADER_BYTES: Final = _HEADER.size
MAX_REQUEST_BYTES: Final = HEADER_BYTES + MAX_ENVIRONMENT_BYTES + MAX_STDIN_BYTES


class MalformedFrameError(ValueError):
    """Bytes that no shim of ours sends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call as the runtime made it, not yet checked."""

    variables: Mapping[str, str]
    stdin: bytes
    door: Door = Door.PLUGIN


def frame_bytes(buffer: bytes | bytearray) -> int | None:
    """Return the size of the whole request that ``buffer`` begins, None if not known yet.

    Raises MalformedFrameError as soon as the header is wrong or asks for too much.
    """
    if bytes(buffer[:4]) not in _MAGICS:
        raise MalformedFrameError("not a request of our shim")
    if len(buffer) < HEADER_BYTES:
        return None
    _, environment, stdin = _HEADER.unpack_from(buffer)
    if environment > MAX_ENVIRONMENT_BYTES or stdin > MAX_STDIN_BYTES:
        raise MalformedFrameError(f"request too large: {environment} + {stdin} bytes")
    return HEADER_BYTES + int(environment) + int(stdin)


def parse_request(frame: bytes | bytearray) -> Request:
    """Split a complete request; raise MalformedFrameError if it is not one."""
    size = frame_bytes(frame)
    if size != len(frame):
        raise MalformedFrameError(f"request of {size} bytes has {len(frame)}")
    magic, environment_bytes, _ = _HEADER.unpack_from(frame)
    end = HEADER_BYTES + int(environment_bytes)
    block = bytes(frame[HEADER_BYTES:end])
    if block and not block.endswith(b"\0"):
        raise MalformedFrameError("environment does not end with NUL")
    variables: dict[str, str] = {}
    for item in block.split(b"\0")[:-1]:
        # Lone surrogates stand for bytes that are not UTF-8: the checks then name the variable.
        key, equals, value = item.decode("utf-8", "surrogateescape").partition("=")
        if not equals or not key.startswith("CNI_"):
            raise MalformedFrameError("environment item is not CNI_KEY=VALUE")
        variables[key] = value
    return Request(variables=variables, stdin=bytes(frame[end:]), door=Door(magic))


def render_request(request: Request) -> bytes:
    """Render the request as the shim sends it."""
    block = b"".join(
        f"{key}={value}".encode("utf-8", "surrogateescape") + b"\0"
        for key, value in request.variables.items()
    )
    header = _HEADER.pack(request.door.value, len(block), len(request.stdin))
    return header + block + request.stdin


def render_reply(exit_code: int, stdout: bytes) -> bytes:
    """Render what the shim is to print and to exit with."""
    return _REPLY.pack(exit_code, len(stdout)) + stdout


def parse_reply(reply: bytes) -> tuple[int, bytes]:
    """Return (exit code, stdout) of a complete reply; raise MalformedFrameError otherwise."""
    if len(reply) < _REPLY.size:
        raise MalformedFrameError("reply shorter than its header")
    exit_code, length = _REPLY.unpack_from(reply)
    if len(reply) != _REPLY.size + length:
        raise MalformedFrameError(f"reply of {length} bytes has {len(reply) - _REPLY.size}")
    return int(exit_code), reply[_REPLY.size :]
