"""Addresses in words. PURE.

Python takes longer to print an IPv6 address than the kernel to add it, and an ADD prints each of
its addresses four times. So the addresses of a node's pools are printed from what they have in
common: all but the last group of an IPv6 address, all but the last byte of an IPv4 one.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


def text_of(value: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> str:
    """Return the canonical text, the same as ``str``."""
    if isinstance(value, IPv4Address):
        number = int(value)
        return f"{_ipv4_head(number >> 8)}{number & 0xFF}"
    if isinstance(value, IPv6Address):
        number = int(value)
        # A last group of zeros may be part of the "::".
        if (last := number & 0xFFFF) and value.scope_id is None and (head := _head(number >> 16)):
            return f"{head}{last:x}"
        return str(value)
    return _network_text(value)


@lru_cache(maxsize=256)
def _ipv4_head(bits: int) -> str:
    return str(IPv4Address(bits << 8))[:-1]


@lru_cache(maxsize=256)
def _head(bits: int) -> str:
    """Return the text before the last group; "" where that is not how the address is printed."""
    head, _, last = str(IPv6Address(bits << 16 | 0xFFFF)).rpartition(":")
    return f"{head}:" if last == "ffff" else ""


@lru_cache(maxsize=256)
def _network_text(value: IPv4Network | IPv6Network) -> str:
    return str(value)
