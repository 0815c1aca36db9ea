"""Many messages of one size: made from a template, numbered and cut into datagrams. PURE.

A line of Python for each of 100,000 messages costs more than the kernel's work; here the loops over
messages are the interpreter's own (slices with a step).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from router.kernel.message import HEADER_SEQ_OFFSET


class Run(NamedTuple):
    """Messages of equal size, one behind the other."""

    data: bytes | bytearray
    size: int
    """Of one of them, a multiple of four bytes."""


def repeated(template: bytes, count: int) -> bytearray:
    """Return so many times the same message, for `put_column` to make them differ."""
    return bytearray(template * count)


def put_column(data: bytearray, start: int, size: int, values: bytes, width: int) -> None:
    """Put packed values of equal width at the same place of every `size` bytes from `start` on.

    Byte by byte of the value: the interpreter's own loops run over the messages then.
    """
    for octet in range(width):
        data[start + octet :: size] = values[octet::width]


class Datagram(NamedTuple):
    """Numbered messages for one system call."""

    data: bytearray
    messages: int
    last_size: int
    """Of the last message, in bytes."""


def datagrams(runs: Iterable[Run], first: int, limit: int) -> Iterator[Datagram]:
    """Give the messages of all runs in order, numbered from `first`, at most `limit` bytes a time.

    One that is longer than the limit goes alone. Each datagram is made when it is asked for.
    """
    data, count, size = bytearray(), 0, 0
    for run in runs:
        at = 0
        while at < len(run.data):
            room = (limit - len(data)) // run.size
            if room <= 0 and count:
                yield Datagram(data, count, size)
                first, data, count = first + count, bytearray(), 0
                continue
            start, size = len(data), run.size
            part = run.data[at : at + max(1, room) * size]
            number = len(part) // size
            data += part
            numbers = struct.pack(f"={number}I", *range(first + count, first + count + number))
            put_column(data, start + HEADER_SEQ_OFFSET, size, numbers, 4)
            count += number
            at += len(part)
    if count:
        yield Datagram(data, count, size)
