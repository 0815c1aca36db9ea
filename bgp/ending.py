"""Ending: the NOTIFICATION with which we end a session and keep it ended. PURE.

RFC 4486 section 3 (subcodes of Cease, and the data of 6/1), RFC 9003 (the text of 6/2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bgp.nlri import IPV4
from bgp.notification import name_notification

CEASE = 6
OPEN_ERROR = 2
MAX_TEXT_BYTES = 255
_UNICAST = 1
_AFI = {IPV4: 1, 6: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A NOTIFICATION to send."""

    code: int
    subcode: int
    data: bytes = b""

    def __str__(self) -> str:
        return f"{name_notification(self.code, self.subcode)} ({self.code}/{self.subcode})"

    @classmethod
    def max_prefixes(cls, family: int, limit: int) -> Ending:
        """Maximum Number of Prefixes Reached, with the family and our limit as its data."""
        return cls(code=CEASE, subcode=1, data=struct.pack(">HBI", _AFI[family], _UNICAST, limit))

    @classmethod
    def shutdown(cls, text: str) -> Ending:
        """Administrative Shutdown with its text, which `is_shutdown_text` accepts."""
        raw = text.encode()
        return cls(code=CEASE, subcode=2, data=bytes((len(raw),)) + raw if raw else b"")

    @classmethod
    def removed(cls) -> Ending:
        """Peer De-configured."""
        return cls(code=CEASE, subcode=3)

    @classmethod
    def bad_peer_as(cls) -> Ending:
        """Bad Peer AS, for a session whose OPEN named an AS that it may not have."""
        return cls(code=OPEN_ERROR, subcode=2)


def is_shutdown_text(text: str) -> bool:
    """Tell whether RFC 9003 allows the text: at most 255 octets of UTF-8, without controls."""
    return text.isprintable() and len(text.encode()) <= MAX_TEXT_BYTES
