"""stream: what comes from the speaker, cut into lines of text and frames of BGP messages. PURE.

ExaBGP itself writes lines of JSON; our launcher puts frames between them (`launcher.frame`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bgp.speaker.launcher.frame import AFTER_LENGTH, FRAME, HEADER

MAX_LINE_BYTES: Final = 1 << 24
"""ExaBGP's longest line is an UPDATE of 65535 octets as JSON, far below this."""


class Frame(NamedTuple):
    """UPDATEs of one peer's session, one after the other."""

    address: str
    """The peer's, as ExaBGP writes it; after a link-local one a space and our own."""
    flags: int
    """What the session negotiated: FOUR_OCTET_ASNS and FAMILY_FLAGS of `launcher.frame`."""
    messages: bytes


class Splitter:
    """Cuts a stream; keeps what is incomplete."""

    def __init__(self) -> None:
        self._rest = b""

    def clear(self) -> None:
        """Begin a new stream."""
        self._rest = b""

    def feed(self, chunks: list[bytes]) -> list[bytes | Frame]:
        """Give the lines and frames that are complete now; empty lines are left out.

        Raises ValueError for a line or frame that cannot be one: the stream is lost.
        """
        data = b"".join([self._rest, *chunks])
        found: list[bytes | Frame] = []
        at, end = 0, len(data)
        while at < end:
            if data[at] == FRAME:
                until = _frame_end(data, at)
                if until > end:
                    break
                found.append(_frame(data, at, until))
            else:
                until = data.find(b"\n", at) + 1
                if not until:
                    break
                if until - at > 1:
                    found.append(data[at : until - 1])
            at = until
        self._rest = data[at:]
        if len(self._rest) > MAX_LINE_BYTES:
            raise ValueError(f"{len(self._rest)} octets without an end")
        return found


def _frame_end(data: bytes, at: int) -> int:
    if len(data) < at + HEADER.size:
        return len(data) + 1
    _, length, _, address = HEADER.unpack_from(data, at)
    if length < HEADER.size - AFTER_LENGTH + address:
        raise ValueError(f"a frame of {length} octets")
    return at + AFTER_LENGTH + int(length)


def _frame(data: bytes, at: int, until: int) -> Frame:
    _, _, flags, size = HEADER.unpack_from(data, at)
    start = at + HEADER.size
    return Frame(data[start : start + size].decode("ascii"), flags, data[start + size : until])
