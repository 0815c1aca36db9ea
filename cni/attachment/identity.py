"""Who an attachment is, and everything derived from that: names and hardware address. PURE.

The key is (network, container id, ifname), the primary key that CNI SPEC.md asks plugins to
store state by. All that is derived from it is deterministic, so that a restarted server needs
no record of it (ADR 0021).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

MacAddress = NewType("MacAddress", bytes)

HOST_MAC: Final = MacAddress(bytes.fromhex("eeeeeeeeeeee"))
"""The host end of every pod link: pods hold one permanent neighbor entry for it (design D1)."""

HOST_NAME_PREFIX: Final = "pod"
_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_BASE1024: Final = tuple(first + second for first in _BASE32 for second in _BASE32)
_SHIFTS: Final = range(50, -1, -10)
"""12 base32 characters: 60 bits, and 15 bytes with the prefix (IFNAMSIZ - 1)."""

_LOCAL_UNICAST: Final = 0x02
_MAC_FLAG_BITS: Final = 0x03
"""IEEE 802 section 8.2: bit 1 = locally administered, bit 0 = group."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class AttachmentKey:
    """The primary key of an attachment."""

    network: str
    container_id: str
    ifname: str


def host_name(key: AttachmentKey, prefix: str = HOST_NAME_PREFIX) -> str:
    """Return the name of the host's end: the prefix and 60 bits of the key's hash."""
    number = int.from_bytes(_digest(key)[:8], "big") >> 4
    return prefix + "".join([_BASE1024[number >> shift & 1023] for shift in _SHIFTS])


def pod_mac(key: AttachmentKey) -> MacAddress:
    """Return the pod's hardware address: locally administered, unicast, from the key's hash."""
    tail = _digest(key)[-6:]
    first = (tail[0] & ~_MAC_FLAG_BITS) | _LOCAL_UNICAST
    return MacAddress(bytes((first,)) + tail[1:])


def format_mac(mac: MacAddress) -> str:
    """Return the colon-separated form."""
    return mac.hex(":")


@lru_cache(maxsize=64)
def _digest(key: AttachmentKey) -> bytes:
    # None of the three can contain NUL, so the joint is unambiguous.
    joint = f"{key.network}\0{key.container_id}\0{key.ifname}"
    return hashlib.sha256(joint.encode()).digest()
