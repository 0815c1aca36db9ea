"""Classic BPF programs on sockets: the kernel drops what we would only read to ignore. SHELL.

Reference: Documentation/networking/filter.rst in the kernel's sources.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

LOAD_HALF: Final = 0x28
LOAD_WORD: Final = 0x20
LOAD_BYTE: Final = 0x30
LOAD_HALF_FROM_INDEX: Final = 0x48
"""At the index plus the value."""
LOAD_IPV4_LENGTH: Final = 0xB1
"""Into the index: four times the low half of the byte at the value, as IPv4 headers have it."""
LOAD_NUMBER_TO_INDEX: Final = 0x01
JUMP_EQUAL: Final = 0x15
JUMP_SET: Final = 0x45
"""Taken if any of the value's bits is set."""
RETURN: Final = 0x06
TAKE: Final = (RETURN, 0, 0, 0xFFFFFFFF)
DROP: Final = (RETURN, 0, 0, 0)

_SO_ATTACH_FILTER: Final = 26
_INSTRUCTION: Final = struct.Struct("=HBBI")

Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip if true, if false, and the value."""


def attach_filter(target: socket.socket, program: Sequence[Instruction]) -> None:
    """Attach a program; raises OSError."""
    packed = b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
    instructions = ctypes.create_string_buffer(packed)
    header = struct.pack("@HP", len(program), ctypes.addressof(instructions))
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


def swapped_half(value: int) -> int:
    """Return a 16-bit number in host order as the filter, which loads in network order, sees it."""
    return int.from_bytes(struct.pack("=H", value), "big")


def swapped_word(value: int) -> int:
    """Return a 32-bit number in host order as the filter, which loads in network order, sees it."""
    return int.from_bytes(struct.pack("=I", value), "big")
