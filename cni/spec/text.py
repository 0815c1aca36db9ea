"""Addresses in words. PURE.

Python takes longer to print an IPv6 address than the kernel to add it, and an ADD prints each of
its addresses four times, the gateways and default routes always the same.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@lru_cache(maxsize=256)
def text_of(value: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> str:
    """Return the canonical text, the same as ``str``."""
    return str(value)
