"""The link alias that makes the kernel our allocation store. PURE.

``podroute/1 NETWORK CONTAINER IFNAME IPV4 IPV6``, "-" where the family is missing. The kernel
keeps at most 255 bytes (IFALIASZ, include/uapi/linux/if.h), so a network name of more than 48
bytes or a container id of more than 80 stands as "#" and 43 characters of its SHA-256. A real
one never begins with "#". An attachment is therefore compared through ``stored_key``.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Self

from cni.attachment.identity import AttachmentKey
from cni.spec.text import text_of

MAX_ALIAS_BYTES: Final = 255
MAX_NETWORK_BYTES: Final = 48
MAX_CONTAINER_ID_BYTES: Final = 80

_MARK: Final = "podroute/1"
_ABSENT: Final = "-"
_FIELDS: Final = 6


class MalformedAliasError(ValueError):
    """An alias that ``render_alias`` does not write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """At most one address per family, at least one in all."""

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None

    @classmethod
    def of(cls, addresses: Iterable[IPv4Address | IPv6Address]) -> Self:
        """Return these addresses, the first of each family."""
        ipv4: IPv4Address | None = None
        ipv6: IPv6Address | None = None
        for each in addresses:
            if isinstance(each, IPv4Address):
                ipv4 = ipv4 or each
            else:
                ipv6 = ipv6 or each
        return cls(ipv4=ipv4, ipv6=ipv6)

    def each(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return those present, IPv4 first."""
        if self.ipv4 is None:
            return () if self.ipv6 is None else (self.ipv6,)
        return (self.ipv4,) if self.ipv6 is None else (self.ipv4, self.ipv6)


def stored_key(key: AttachmentKey) -> AttachmentKey:
    """Return the key as the kernel can hold it: long parts by their hash. Idempotent."""
    if _is_short(key.network, MAX_NETWORK_BYTES) and _is_short(
        key.container_id, MAX_CONTAINER_ID_BYTES
    ):
        return key
    return AttachmentKey(
        network=_shorten(key.network, MAX_NETWORK_BYTES),
        container_id=_shorten(key.container_id, MAX_CONTAINER_ID_BYTES),
        ifname=key.ifname,
    )


def render_alias(key: AttachmentKey, addresses: Addresses) -> str:
    """Render the alias; always within 255 bytes for a checked key."""
    stored = stored_key(key)
    ipv4 = _ABSENT if addresses.ipv4 is None else text_of(addresses.ipv4)
    ipv6 = _ABSENT if addresses.ipv6 is None else text_of(addresses.ipv6)
    return f"{_MARK} {stored.network} {stored.container_id} {stored.ifname} {ipv4} {ipv6}"


def parse_alias(alias: str) -> tuple[AttachmentKey, Addresses]:
    """Return the stored key and the addresses; raise MalformedAliasError."""
    fields = alias.split(" ")
    if len(fields) != _FIELDS or fields[0] != _MARK or not all(fields):
        raise MalformedAliasError(f"not an alias of ours: {alias[:64]!r}")
    _, network, container_id, ifname, ipv4, ipv6 = fields
    try:
        addresses = Addresses(
            ipv4=None if ipv4 == _ABSENT else IPv4Address(ipv4),
            ipv6=None if ipv6 == _ABSENT else IPv6Address(ipv6),
        )
    except ValueError as error:
        raise MalformedAliasError(f"address in alias: {error}") from None
    if not addresses.each():
        raise MalformedAliasError("alias without an address")
    key = AttachmentKey(network=network, container_id=container_id, ifname=ifname)
    return key, addresses


def _is_short(value: str, limit: int) -> bool:
    return len(value) <= limit and value.isascii()


def _shorten(value: str, limit: int) -> str:
    # GC names attachments that no ADD has checked: what is no UTF-8 matches none, and is no error.
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) <= limit:
        return value
    digest = base64.urlsafe_b64encode(hashlib.sha256(encoded).digest())
    return "#" + digest.decode().rstrip("=")
