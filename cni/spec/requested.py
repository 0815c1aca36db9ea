"""What one pod asks for: addresses, hardware address, resolver. PURE.

Three sources, by convention in this order: ``runtimeConfig`` (capabilities that the conflist
declares), ``args.cni`` (CNI CONVENTIONS.md), ``CNI_ARGS``. The first that names addresses is the
only one heard for addresses; likewise for the hardware address.

Of the well-known capabilities ``ips``, ``mac`` and ``dns`` are ours. ``portMappings`` and
``bandwidth`` are the chained portmap's and bandwidth's: a non-empty one that reaches us was
declared on the wrong plugin, and to leave a pod's port unmapped without a word would be worse
than code 2. So is ``ipRanges``, host-local's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Final

from cni.spec.errors import InvalidConfigurationError, UnsupportedFieldError
from cni.spec.fields import Dns, Problems, find_key, take_object, take_strings

_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_GROUP_BIT: Final = 0x01
"""IEEE 802 section 8.2.2: a group address is nobody's own."""

ASKING_ARGS: Final = frozenset(("IP", "MAC"))
"""The items of CNI_ARGS that ask for something."""

_OTHERS: Final = {
    "portMappings": "declare it on the portmap plugin behind podroute",
    "bandwidth": "declare it on the bandwidth plugin behind podroute",
    "ipRanges": "podroute allocates from the node's pod CIDRs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """At most one address per family; None where the pod takes what it gets.

    ``mac`` is 6 bytes, unicast. ``source`` names where the addresses come from, for messages.
    """

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    mac: bytes | None = None
    dns: Dns | None = None
    source: str = ""

    def each(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return the addresses asked for, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


def parse_requested(
    raw: Mapping[str, object], arguments: Mapping[str, str], *, delegated: bool = False
) -> Requested:
    """Read a decoded configuration and the items of CNI_ARGS.

    ``delegated``: the configuration is another plugin's, capabilities in it are its business.

    Raises UnsupportedFieldError (2), or InvalidConfigurationError (7) with every problem.
    """
    problems: Problems = []
    runtime = take_object(raw.get("runtimeConfig"), "runtimeConfig", problems) or {}
    args = take_object(raw.get("args"), "args", problems) or {}
    conventional = take_object(args.get("cni"), "args.cni", problems) or {}
    if not delegated:
        _refuse_others(runtime)
    source, texts = _address_texts(runtime, conventional, arguments, problems)
    addresses = _addresses(texts, source, problems)
    requested = Requested(
        ipv4=next((each for each in addresses if isinstance(each, IPv4Address)), None),
        ipv6=next((each for each in addresses if isinstance(each, IPv6Address)), None),
        mac=_mac(runtime, conventional, arguments, problems),
        dns=_dns(find_key(runtime, "dns"), problems),
        source=source,
    )
    if problems:
        raise InvalidConfigurationError(tuple(problems))
    return requested


def _refuse_others(runtime: Mapping[str, object]) -> None:
    for key, advice in _OTHERS.items():
        value = find_key(runtime, key)
        # Runtimes send a bandwidth of zeros, and empty lists, for a pod that asks for nothing.
        if any(value.values()) if isinstance(value, dict) else value:
            raise UnsupportedFieldError(f"runtimeConfig.{key} is {str(value)[:200]}: {advice}")


def _address_texts(
    runtime: Mapping[str, object],
    conventional: Mapping[str, object],
    arguments: Mapping[str, str],
    problems: Problems,
) -> tuple[str, tuple[str, ...]]:
    """Return the first source that names addresses, and what it says."""
    candidates = {
        "runtimeConfig.ips": take_strings(find_key(runtime, "ips"), "runtimeConfig.ips", problems),
        "args.cni.ips": take_strings(conventional.get("ips"), "args.cni.ips", problems),
        "CNI_ARGS IP": tuple(filter(None, arguments.get("IP", "").split(","))),
    }
    return next(((path, texts) for path, texts in candidates.items() if texts), ("", ()))


def _addresses(
    texts: tuple[str, ...], source: str, problems: Problems
) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses; a prefix length is allowed and means nothing: ours are /32, /128."""
    found: list[IPv4Address | IPv6Address] = []
    for text in texts:
        try:
            found.append(ip_interface(text.strip()).ip)
        except ValueError:
            problems.append((source, f"is not an address: {text[:64]!r}"))
    for version in (4, 6):
        if sum(1 for each in found if each.version == version) > 1:
            problems.append((source, f"has more than one IPv{version} address"))
    return tuple(found)


def _mac(
    runtime: Mapping[str, object],
    conventional: Mapping[str, object],
    arguments: Mapping[str, str],
    problems: Problems,
) -> bytes | None:
    candidates = {
        "runtimeConfig.mac": find_key(runtime, "mac"),
        "args.cni.mac": conventional.get("mac"),
        "CNI_ARGS MAC": arguments.get("MAC"),
    }
    path, value = next(((path, text) for path, text in candidates.items() if text), ("", None))
    if value is None:
        return None
    if not isinstance(value, str) or not _MAC.fullmatch(value):
        problems.append((path, f"is not a hardware address: {str(value)[:64]!r}"))
        return None
    mac = bytes.fromhex(value.replace(":", "").replace("-", ""))
    if mac[0] & _GROUP_BIT or not any(mac):
        problems.append((path, f"is no station's address: {value!r}"))
        return None
    return mac


def _dns(value: object, problems: Problems) -> Dns | None:
    """Return the ``dns`` capability: its keys differ from those of the ``dns`` object."""
    raw = take_object(value, "runtimeConfig.dns", problems)
    if not raw:
        return None
    servers, searches, options = (
        take_strings(find_key(raw, key), f"runtimeConfig.dns.{key}", problems)
        for key in ("servers", "searches", "options")
    )
    return Dns(nameservers=servers, search=searches, options=options)
