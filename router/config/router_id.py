"""A router id for a node without an IPv4 address. PURE."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address
from typing import Final

_FIRST: Final = int(IPv4Address("1.0.0.0"))
_END: Final = int(IPv4Address("224.0.0.0"))
"""Any number but 0 would do (RFC 6286), but routers refuse one that looks like multicast."""


def hashed_router_id(identity: str) -> IPv4Address:
    """Return always the same id for the same identity; two of 1000 nodes collide once in 7000."""
    digest = hashlib.sha256(identity.encode()).digest()
    return IPv4Address(_FIRST + int.from_bytes(digest[:8], "big") % (_END - _FIRST))
