"""What the operator sets in podroute's network configuration, and in podroute-ipam's section. PURE.

The agent's facts (pod CIDRs, node addresses, the uplinks' MTU) come from ``node.json``; everything
here is the operator's, written into the conflist, and may differ between networks (ADR 0025). A
key that almost is one of ours is an error with a hint; other keys are kept for the log, since
libcni and runtimes add some of their own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Final

from cni.spec.errors import InvalidConfigurationError
from cni.spec.fields import (
    Dns,
    Problems,
    take_boolean,
    take_dns,
    take_integer,
    take_object,
    take_strings,
)

Network = IPv4Network | IPv6Network

IPAM_TYPE: Final = "podroute-ipam"

# IPv6 needs 1280 (RFC 8200 section 5); 65535 is ETH_MAX_MTU.
MTU_BOUNDS: Final = range(1280, 65536)
# veth takes up to 4096 queues (drivers/net/veth.c); each costs two kobjects at every ADD.
QUEUE_BOUNDS: Final = range(1, 257)
DEFAULT_HOST_PREFIX: Final = "pod"
# 60 bits of hash follow: 12 characters, and a link's name has 15 (IFNAMSIZ - 1).
_HOST_PREFIX: Final = re.compile(r"[a-z]{1,3}")

_OURS: Final = ("mtu", "reserved", "queues", "hostInterfacePrefix", "antiSpoofing", "dns", "ipam")
_STANDARD: Final = frozenset({
    "cniVersion", "cniVersions", "name", "type", "args", "capabilities", "runtimeConfig",
    "prevResult", "plugins", "disableCheck", "disableGC", "loadOnlyInlinedPlugins",
})  # fmt: skip
"""The specification's keys, and those of a list that libcni may leave in."""
_IPAM_KEYS: Final = ("type", "subnets", "reserved", "routes", "gateways")
_NEAR: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The operator's settings of one network.

    ``mtu`` in bytes, None for the node's. ``reserved``: never given unless asked for by name.
    ``unknown``: keys that mean nothing to us.
    """

    mtu: int | None = None
    reserved: tuple[Network, ...] = ()
    queues: int = 1
    host_interface_prefix: str = DEFAULT_HOST_PREFIX
    anti_spoofing: bool = True
    dns: Dns | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamOptions:
    """The ``ipam`` section when another plugin delegates to podroute-ipam.

    ``subnets`` empty: the node's pod CIDRs. ``routes`` None: a default route per family.
    """

    subnets: tuple[Network, ...] = ()
    reserved: tuple[Network, ...] = ()
    routes: tuple[tuple[Network, IPv4Address | IPv6Address | None], ...] | None = None
    gateways: tuple[IPv4Address | IPv6Address, ...] = ()
    dns: Dns | None = None


def parse_options(raw: Mapping[str, object]) -> Options:
    """Check the operator's keys; raise InvalidConfigurationError (7) with every problem."""
    problems: Problems = []
    unknown = _unknown_keys(raw, _OURS, _STANDARD, problems)
    options = Options(
        mtu=take_integer(raw.get("mtu"), "mtu", MTU_BOUNDS, problems),
        reserved=_ranges(raw.get("reserved"), "reserved", problems),
        queues=take_integer(raw.get("queues"), "queues", QUEUE_BOUNDS, problems) or 1,
        host_interface_prefix=_host_prefix(raw.get("hostInterfacePrefix"), problems),
        anti_spoofing=take_boolean(raw.get("antiSpoofing"), "antiSpoofing", True, problems),
        dns=take_dns(raw.get("dns"), problems),
        unknown=unknown,
    )
    _refuse_ipam(raw.get("ipam"), problems)
    if problems:
        raise InvalidConfigurationError(tuple(problems))
    return options


def parse_ipam_options(raw: Mapping[str, object]) -> IpamOptions:
    """Check the ``ipam`` section of another plugin's configuration; raise as ``parse_options``."""
    problems: Problems = []
    ipam = take_object(raw.get("ipam"), "ipam", problems) or {}
    kind = ipam.get("type")
    if kind != IPAM_TYPE:
        problems.append(("ipam.type", f"is not {IPAM_TYPE}: {str(kind)[:64]!r}"))
    _unknown_keys(ipam, _IPAM_KEYS, (), problems, "ipam.")
    options = IpamOptions(
        subnets=_ranges(ipam.get("subnets"), "ipam.subnets", problems),
        reserved=_ranges(ipam.get("reserved"), "ipam.reserved", problems),
        routes=_routes(ipam.get("routes"), problems),
        gateways=_addresses(ipam.get("gateways"), "ipam.gateways", problems),
        dns=take_dns(raw.get("dns"), problems),
    )
    if problems:
        raise InvalidConfigurationError(tuple(problems))
    return options


def _unknown_keys(
    raw: Mapping[str, object],
    ours: Iterable[str],
    standard: Collection[str],
    problems: Problems,
    path: str = "",
) -> tuple[str, ...]:
    """Report keys that almost are ours, return the others that nobody knows.

    Keys with a slash are names in somebody's domain (cni.dev/attachments) and never ours.
    """
    by_lower = {key.lower(): key for key in ours}
    unknown: list[str] = []
    for key in raw:
        if key in by_lower.values() or key in standard or "/" in key:
            continue
        near = difflib.get_close_matches(key.lower()[:64], by_lower, n=1, cutoff=_NEAR)
        if near:
            problems.append((f"{path}{key[:64]}", f"is unknown; did you mean {by_lower[near[0]]}?"))
        else:
            unknown.append(key)
    return tuple(sorted(unknown))


def _host_prefix(value: object, problems: Problems) -> str:
    if value is None or value == "":
        return DEFAULT_HOST_PREFIX
    if not isinstance(value, str) or not _HOST_PREFIX.fullmatch(value):
        problems.append(("hostInterfacePrefix", "is not one to three small letters"))
        return DEFAULT_HOST_PREFIX
    return value


def _refuse_ipam(value: object, problems: Problems) -> None:
    """Refuse an IPAM plugin: the server, in its container, cannot run the host's binaries."""
    ipam = take_object(value, "ipam", problems)
    if ipam and ipam.get("type"):
        problems.append(
            (
                "ipam.type",
                f"{str(ipam['type'])[:64]!r} is not possible: podroute allocates from the node's "
                "pod CIDRs itself; remove the ipam section",
            )
        )


def _ranges(value: object, path: str, problems: Problems) -> tuple[Network, ...]:
    """Return networks for a list of CIDRs, addresses, and FIRST-LAST ranges."""
    found: list[Network] = []
    for number, item in enumerate(take_strings(value, path, problems)):
        try:
            first, dash, last = item.partition("-")
            if dash:
                ends = ip_address(first.strip()), ip_address(last.strip())
                found += summarize_address_range(*ends)
            else:
                found.append(ip_network(item))
        except (TypeError, ValueError) as error:
            problems.append((f"{path}[{number}]", str(error)))
    return tuple(found)


def _addresses(
    value: object, path: str, problems: Problems
) -> tuple[IPv4Address | IPv6Address, ...]:
    found: list[IPv4Address | IPv6Address] = []
    for number, item in enumerate(take_strings(value, path, problems)):
        try:
            found.append(ip_address(item))
        except ValueError as error:
            problems.append((f"{path}[{number}]", str(error)))
    return tuple(found)


def _routes(
    value: object, problems: Problems
) -> tuple[tuple[Network, IPv4Address | IPv6Address | None], ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        problems.append(("ipam.routes", "is not a list"))
        return None
    found: list[tuple[Network, IPv4Address | IPv6Address | None]] = []
    for number, item in enumerate(value):
        try:
            gateway = item.get("gw")
            destination = ip_network(item["dst"])
            found.append((destination, None if gateway is None else ip_address(gateway)))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append((f"ipam.routes[{number}]", f"is not {{dst, gw}}: {error}"))
    return tuple(found)
