"""What in an UPDATE ends a session: code 3 and its subcodes (RFC 4271 section 6.3). PURE."""

from __future__ import annotations

from typing import Final

from bgp.errors import BgpError

UPDATE_ERROR: Final = 3
MALFORMED_ATTRIBUTE_LIST: Final = 1
UNRECOGNIZED_WELL_KNOWN: Final = 2
OPTIONAL_ATTRIBUTE_ERROR: Final = 9
INVALID_NETWORK_FIELD: Final = 10


class UpdateError(BgpError):
    """The session has to end, with NOTIFICATION code 3 and this subcode."""

    def __init__(self, subcode: int, reason: str, data: bytes = b"") -> None:
        super().__init__(subcode, reason)
        self.subcode = subcode
        self.reason = reason
        self.data = data

    def __str__(self) -> str:
        return self.reason
