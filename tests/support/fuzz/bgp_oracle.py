"""An UPDATE read a second time, in the slowest and plainest way there is: bit by bit. PURE.

Only for messages that the reader under test found sound in their lengths. It shares no line with
it, so that what both say of a message's routes is not one mistake made twice (RFC 4271 section 4.3,
RFC 4760 sections 3 and 4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

AS_PATH: Final = 2
_MP_REACH: Final = 14
_MP_UNREACH: Final = 15
_FAMILIES: Final = {b"\0\1\1": (4, 32), b"\0\2\1": (6, 128)}
"""AFI and SAFI to what we call the family, and its bits."""

Route = tuple[int, int, int]


class Told(NamedTuple):
    """What becomes of a route, in the order of the message."""

    route: Route
    is_announced: bool


def told(raw: bytes, families: Collection[int]) -> list[Told]:
    """Return what the message says of routes of these families."""
    withdrawn, attributes, announced = fields(raw)
    said: list[Told] = []
    if 4 in families:
        said += [Told(route, False) for route in routes(withdrawn, 4, 32)]
        said += [Told(route, True) for route in routes(announced, 4, 32)]
    carried = dict(each_attribute(attributes))
    for kind in (_MP_UNREACH, _MP_REACH):
        value = carried.get(kind, b"")
        family, bits = _FAMILIES.get(value[:3], (0, 0))
        if family in families:
            rest = value[3:] if kind == _MP_UNREACH else value[4 + value[3] + 1 :]
            said += [Told(route, kind == _MP_REACH) for route in routes(rest, family, bits)]
    return said


def fields(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Return withdrawn routes, path attributes and NLRI."""
    first = int.from_bytes(raw[:2], "big")
    second = int.from_bytes(raw[2 + first : 4 + first], "big")
    return raw[2 : 2 + first], raw[4 + first : 4 + first + second], raw[4 + first + second :]


def each_attribute(block: bytes) -> Iterator[tuple[int, bytes]]:
    """Give type and value of each, as far as they go."""
    while len(block) >= 3:
        size = 2 if block[0] & 0x10 else 1
        length = int.from_bytes(block[2 : 2 + size], "big")
        yield block[1], block[2 + size : 2 + size + length]
        block = block[2 + size + length :]


def routes(field: bytes, family: int, bits: int) -> list[Route]:
    """Return the prefixes of a field."""
    found = []
    while field:
        length, size = field[0], (field[0] + 7) // 8
        text = "".join(f"{octet:08b}" for octet in field[1 : 1 + size])[:length]
        found.append((family, int(text.ljust(bits, "0"), 2), length))
        field = field[1 + size :]
    return found


def sequences(raw: bytes) -> list[int] | None:
    """Return the four-octet AS numbers of the first AS_PATH, None if it is not of sequences alone.

    The first, since others of one type are discarded (RFC 7606 section 3 g).
    """
    attributes = each_attribute(fields(raw)[1])
    path = next((value for kind, value in attributes if kind == AS_PATH), b"")
    numbers: list[int] = []
    while path:
        if path[0] != 2:
            return None
        end = 2 + 4 * path[1]
        numbers += [int.from_bytes(path[at : at + 4], "big") for at in range(2, end, 4)]
        path = path[end:]
    return numbers
