"""The result of an ADD, in the form of each protocol version, and its way back.

Reference: CNI SPEC.md, "Result types"; conversion between versions as in libcni's
``pkg/types``: ``ips[].version`` is mandatory up to 0.4.0 and gone since 1.0.0;
``interfaces[].mtu`` came with 1.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_interface,
)
from typing import Final

from cni.spec.errors import InvalidConfigurationError
from cni.spec.fields import Dns
from cni.spec.text import text_of
from cni.spec.version import SpecVersion

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One end of the pod link; ``sandbox`` is empty for the host's end."""

    name: str
    mac: str
    mtu: int
    sandbox: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpConfiguration:
    """An address of the interface with index ``interface`` in the result.

    None in the result of an IPAM plugin, which makes no interface.
    """

    address: IPv4Address | IPv6Address
    prefix_length: int
    gateway: IPv4Address | IPv6Address
    interface: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route inside the sandbox."""

    destination: IPv4Network | IPv6Network
    gateway: IPv4Address | IPv6Address | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What ADD made. The host's interface comes first: chained plugins look for it there.

    No interfaces: the result of an IPAM plugin (CNI SPEC.md, "Delegated Plugins (IPAM)").
    """

    interfaces: tuple[Interface, ...]
    ips: tuple[IpConfiguration, ...]
    routes: tuple[Route, ...]
    dns: Dns | None = None


def render_result(result: Result, version: SpecVersion) -> bytes:
    """Render the result as ``version`` has it."""
    body: dict[str, object] = {
        "cniVersion": version,
        "ips": [_ip(ip, version) for ip in result.ips],
        "routes": [_route(route) for route in result.routes],
        "dns": _dns(result.dns),
    }
    if result.interfaces:
        body["interfaces"] = [_interface(interface, version) for interface in result.interfaces]
    return _ENCODER.encode(body).encode()


def _interface(interface: Interface, version: SpecVersion) -> dict[str, object]:
    body: dict[str, object] = {"name": interface.name, "mac": interface.mac}
    if version.interfaces_carry_mtu:
        body["mtu"] = interface.mtu
    if interface.sandbox:
        body["sandbox"] = interface.sandbox
    return body


def _ip(ip: IpConfiguration, version: SpecVersion) -> dict[str, object]:
    body: dict[str, object] = {
        "address": f"{text_of(ip.address)}/{ip.prefix_length}",
        "gateway": text_of(ip.gateway),
    }
    if ip.interface is not None:
        body["interface"] = ip.interface
    if version.ips_carry_version:
        body["version"] = str(ip.address.version)
    return body


def _route(route: Route) -> dict[str, object]:
    body: dict[str, object] = {"dst": text_of(route.destination)}
    if route.gateway is not None:
        body["gw"] = text_of(route.gateway)
    return body


def _dns(dns: Dns | None) -> dict[str, object]:
    """Render what is set; the object itself is always there, as libcni prints it."""
    if dns is None:
        return {}
    fields: dict[str, object] = {
        "nameservers": list(dns.nameservers),
        "domain": dns.domain,
        "search": list(dns.search),
        "options": list(dns.options),
    }
    return {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAddresses:
    """What CHECK takes from prevResult: the addresses on one sandbox interface, and its MAC.

    ``mac`` is informative only: a plugin chained after us (tuning) may have changed it.
    """

    addresses: frozenset[IPv4Address | IPv6Address]
    mac: str


def previous_addresses(prev_result: Mapping[str, object], ifname: str) -> PreviousAddresses:
    """Read the addresses of the sandbox interface ``ifname`` from a prevResult.

    Raises InvalidConfigurationError (7) when the result is not in one of our versions' form.
    """
    try:
        interfaces = prev_result.get("interfaces") or []
        ips = prev_result.get("ips") or []
        if not isinstance(interfaces, list) or not isinstance(ips, list):
            raise TypeError("interfaces and ips must be lists")
        indexes = {
            number: str(item.get("mac") or "")
            for number, item in enumerate(interfaces)
            if item.get("name") == ifname and item.get("sandbox")
        }
        addresses = frozenset(
            ip_interface(item["address"]).ip
            for item in ips
            if item.get("interface") is None or item["interface"] in indexes
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidConfigurationError((("prevResult", f"not a result: {error}"),)) from None
    return PreviousAddresses(addresses=addresses, mac=next(iter(indexes.values()), ""))


def previous_ips(prev_result: Mapping[str, object]) -> frozenset[IPv4Address | IPv6Address]:
    """Return every address of a prevResult, whichever interface has it. Raises as above."""
    try:
        ips = prev_result.get("ips") or []
        if not isinstance(ips, list):
            raise TypeError("ips must be a list")
        return frozenset(ip_interface(item["address"]).ip for item in ips)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidConfigurationError((("prevResult", f"not a result: {error}"),)) from None
