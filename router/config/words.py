"""Read single words of the configuration. PURE; each raises ValueError saying what it expects."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final, TypeVar

from bgp.nlri import Prefix
from bgp.peer_rules import INTERFACE_PATTERN, MAX_ASN
from router.model.link import Address

E = TypeVar("E", bound=StrEnum)
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MAX_HALF = 0xFFFF
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SECRET_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")


def asn(text: str) -> int:
    """Read an AS number, plain or in the dotted form of RFC 5396."""
    high, dot, low = text.partition(".")
    digits = high.isascii() and high.isdigit() and (not dot or (low.isascii() and low.isdigit()))
    if digits and dot and int(high) <= _MAX_HALF and int(low) <= _MAX_HALF:
        number = (int(high) << 16) + int(low)
    elif digits and not dot:
        number = int(high)
    else:
        raise ValueError(f"{text!r} is not an AS number such as 65001 or 64512.1")
    if not 1 <= number <= MAX_ASN:
        raise ValueError(f"AS number {text} is outside 1..{MAX_ASN}")
    return number


def listen(text: str) -> tuple[str, int]:
    """Read where to listen: HOST:PORT, an IPv6 host in brackets; PORT alone is on 127.0.0.1."""
    host, colon, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 0xFFFF:
        raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:9179")
    return str(ip_address(host.strip("[]"))) if colon else "127.0.0.1", int(port)


def listen_or_none(text: str) -> tuple[str, int] | None:
    """Read where to listen, as `listen` does; `none` is nowhere."""
    return None if text == "none" else listen(text)


def address(text: str) -> Address:
    """Read an IPv4 or IPv6 address."""
    try:
        return ip_address(text)
    except ValueError:
        hint = "; an address here has no /length" if "/" in text else ""
        raise ValueError(f"{text!r} is not an IP address{hint}") from None


def ipv4(text: str) -> IPv4Address:
    """Read an IPv4 address."""
    found = address(text)
    if not isinstance(found, IPv4Address):
        raise ValueError(f"{text!r} must be an IPv4 address")
    return found


def prefix(text: str) -> Prefix:
    """Read a prefix with its length; host bits must be zero."""
    if "/" not in text:
        raise ValueError(f"{text!r} needs a length, such as {text}/24")
    try:
        return Prefix.from_network(ip_network(text))
    except ValueError as error:
        raise ValueError(str(error)) from None


def family(text: str) -> int:
    """Read ipv4 or ipv6."""
    if text not in ("ipv4", "ipv6"):
        raise ValueError(f"{text!r} must be ipv4 or ipv6")
    return int(text[-1])


def boolean(text: str) -> bool:
    """Read true or false."""
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} must be true or false")
    return text.lower() == "true"


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds, both included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} must be a whole number from {low} to {high}")
        return int(text)

    return read


def choice(kind: type[E]) -> Callable[[str], E]:
    """Return a reader of one of the words of an enumeration."""

    def read(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            known = ", ".join(kind)
            raise ValueError(f"{text!r} must be one of: {known}") from None

    return read


def node_name(text: str) -> str:
    """Read a node's name: what Kubernetes accepts (RFC 1123 subdomain)."""
    if not _NODE_NAME.fullmatch(text):
        raise ValueError(f"{text!r} must be lower-case letters, digits, '-' and '.'")
    return text


def label_key(text: str) -> str:
    """Read the key of a label: a name, or prefix/name."""
    prefix_part, slash, name = text.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not _NODE_NAME.fullmatch(prefix_part)):
        raise ValueError(f"{text!r} is not the key of a label, such as example.com/rack")
    return text


def label_value(text: str) -> str:
    """Read the value of a label; it may be empty."""
    if text and not _LABEL_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the value of a label")
    return text


def object_name(text: str) -> str:
    """Read the name of an object of the API (RFC 1123 subdomain)."""
    return node_name(text)


def secret_key(text: str) -> str:
    """Read a key of a Secret or ConfigMap."""
    if not _SECRET_KEY.fullmatch(text):
        raise ValueError(f"{text!r} must be letters, digits, '-', '_' and '.'")
    return text


def interface(text: str) -> str:
    """Read the name of a network interface."""
    if not INTERFACE_PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an interface such as eth1")
    return text


def word(text: str) -> str:
    """Read any word that is not empty."""
    if not text:
        raise ValueError("must not be empty")
    return text


def path(text: str) -> str:
    """Read an absolute path."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must be an absolute path")
    return text


_WELL_KNOWN: Final = {
    "graceful_shutdown": (65535, 0),
    "blackhole": (65535, 666),
    "no_export": (65535, 65281),
    "no_advertise": (65535, 65282),
}
"""RFC 1997, 7999, 8326."""


def community(text: str) -> tuple[int, int]:
    """Read a community (RFC 1997) such as 65001:7, or the name of a well-known one."""
    if text in _WELL_KNOWN:
        return _WELL_KNOWN[text]
    first, *rest = _numbers(text, 2, _MAX_HALF)
    return first, rest[0]


def large_community(text: str) -> tuple[int, int, int]:
    """Read a large community (RFC 8092) such as 65001:1:2."""
    first, second, third = _numbers(text, 3, MAX_ASN)
    return first, second, third


def _numbers(text: str, count: int, highest: int) -> list[int]:
    parts = text.split(":")
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in parts):
        example = ":".join(("65001", "1", "2")[:count])
        raise ValueError(f"{text!r} is not {count} numbers such as {example}")
    numbers = [int(part) for part in parts]
    if max(numbers) > highest:
        raise ValueError(f"{text!r} has a number above {highest}")
    return numbers


def prefix_or_address(text: str) -> Prefix:
    """Read a prefix, or an address as the prefix of itself alone."""
    return prefix(text) if "/" in text else Prefix.from_address(address(text))
