"""Messages that differ from call to call in a few bytes only: packed once, then filled in. PURE.

To pack the two dozen messages of an ADD anew takes a tenth of the whole ADD: each is a function
called whose bytecode is in no cache. So the ordinary packers make them once, with a marker in place
of each value that will be another one next time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from router.kernel.message import HEADER_FLAGS_OFFSET, HEADER_SEQ_OFFSET, NLM_F_ACK

_U16: Final = struct.Struct("=H")
_U32: Final = struct.Struct("=I")


class Batch(NamedTuple):
    """Messages to be sent in one datagram, numbered from 1; ``last`` is answered last.

    ``transaction``: the kernel answers a batch it cannot begin, or commit, at its first message.
    """

    packed: bytes
    last: int
    transaction: bool = False


def number(requests: Sequence[bytes], *, acknowledged: bool = True, end: bytes = b"") -> Batch:
    """Return the messages as a batch; ``end`` closes a transaction, behind what is answered."""
    packed = bytearray()
    at = 0
    for place, request in enumerate(requests):
        at = len(packed)
        packed += request
        _U32.pack_into(packed, at + HEADER_SEQ_OFFSET, place + 1)
    if acknowledged:
        flags = _U16.unpack_from(packed, at + HEADER_FLAGS_OFFSET)[0]
        _U16.pack_into(packed, at + HEADER_FLAGS_OFFSET, flags | NLM_F_ACK)
    return Batch(bytes(packed + end), len(requests), bool(end))


class Stencil:
    """A batch with holes."""

    __slots__ = ("_form", "_last", "_transaction")

    def __init__(self, batch: Batch, markers: Mapping[bytes, bytes]) -> None:
        """Cut a hole wherever one of the markers stands; by name. None may be part of another."""
        form = batch.packed.replace(b"%", b"%%")
        for name, marker in markers.items():
            form = form.replace(marker.replace(b"%", b"%%"), b"%%(%b)b" % name)
        self._form = form
        self._last = batch.last
        self._transaction = batch.transaction

    def fill(self, values: Mapping[bytes, bytes]) -> Batch:
        """Return the batch with these values, each as long as its marker."""
        return Batch(self._form % values, self._last, self._transaction)
