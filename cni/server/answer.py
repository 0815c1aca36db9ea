"""From what was made to the answer the runtime gets. PURE."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from json.encoder import encode_basestring_ascii
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import MacAddress, format_mac
from cni.attachment.plan import (
    GATEWAY_IPV4,
    GATEWAY_IPV6,
    Address,
    CreateLink,
    PodLinkPlan,
)
from cni.server.call import Caller
from cni.server.registry import Attachment
from cni.spec.errors import CniError, render_error
from cni.spec.fields import Dns
from cni.spec.result import Interface, IpConfiguration, Result, Route, render_result
from cni.spec.text import text_of
from cni.spec.version import SpecVersion

log = logging.getLogger(__name__)

_SANDBOX_INTERFACE: Final = 1
# Each with a slash or a colon, which an interface's name never has (net/core/dev.c).
_HOST_MARKER: Final = "/host/"
_NETNS_MARKER: Final = "/netns/"
_MAC_MARKER: Final = MacAddress(bytes.fromhex("02c1b7a593e5"))
_IPV4_MARKER: Final = IPv4Address("198.51.100.231")
_IPV6_MARKER: Final = IPv6Address("2001:db8:9a7e:53c1:e4b6:2f8d:71a9:c35b")
_DEFAULT_IPV4: Final = IPv4Network("0.0.0.0/0")
_DEFAULT_IPV6: Final = IPv6Network("::/0")


def add_result(
    plan: PodLinkPlan, addresses: Addresses, netns: str, dns: Dns | None, beside: Collection[int]
) -> Result:
    """Return the result of an ADD; the host's interface first, the pod's second.

    No default route is told for the IP versions ``beside``: the pod's is another interface's.
    """
    create = plan.create
    return Result(
        interfaces=(
            Interface(name=create.host_name, mac=format_mac(create.host_mac), mtu=create.mtu),
            Interface(
                name=create.pod_name,
                mac=format_mac(create.pod_mac),
                mtu=create.mtu,
                sandbox=netns,
            ),
        ),
        ips=tuple(_ip(address) for address in addresses.each()),
        routes=tuple(
            default_route(GATEWAY_IPV4 if address.version == 4 else GATEWAY_IPV6)
            for address in addresses.each()
            if address.version not in beside
        ),
        dns=dns,
    )


def render_plain_result(
    plan: PodLinkPlan,
    addresses: Addresses,
    netns: str,
    beside: frozenset[int],
    version: SpecVersion,
) -> bytes:
    """Render ``add_result`` without a resolver: text of which most is the same for every pod."""
    create = plan.create
    families = addresses.ipv4 is not None, addresses.ipv6 is not None
    form = _result_form(create.pod_name, create.host_mac, create.mtu, families, beside, version)
    values = {
        "host_name": create.host_name,
        "mac": format_mac(create.pod_mac),
        # The rest has no character that JSON would escape.
        "netns": encode_basestring_ascii(netns),
        "ipv4": "" if addresses.ipv4 is None else text_of(addresses.ipv4),
        "ipv6": "" if addresses.ipv6 is None else text_of(addresses.ipv6),
    }
    return (form % values).encode()


@lru_cache(maxsize=32)
def _result_form(
    pod_name: str,
    host_mac: MacAddress,
    mtu: int,
    families: tuple[bool, bool],
    beside: frozenset[int],
    version: SpecVersion,
) -> str:
    """Return the rendered result with %(holes)s, cut where a marker stands."""
    create = CreateLink(
        host_name=_HOST_MARKER, host_mac=host_mac, pod_name=pod_name, pod_mac=_MAC_MARKER, mtu=mtu
    )
    addresses = Addresses(
        ipv4=_IPV4_MARKER if families[0] else None, ipv6=_IPV6_MARKER if families[1] else None
    )
    plan = PodLinkPlan(
        create=create,
        alias="",
        addresses=addresses,
        preferred=Addresses(),
        anti_spoofing=False,
    )
    made = add_result(plan, addresses, _NETNS_MARKER, None, beside)
    form = render_result(made, version).decode().replace("%", "%%")
    for marker, hole in (
        (_HOST_MARKER, "%(host_name)s"),
        (format_mac(_MAC_MARKER), "%(mac)s"),
        (f'"{_NETNS_MARKER}"', "%(netns)s"),
        (f"{_IPV4_MARKER}/", "%(ipv4)s/"),
        (f"{_IPV6_MARKER}/", "%(ipv6)s/"),
    ):
        form = form.replace(marker, hole)
    return form


def default_route(gateway: Address) -> Route:
    """Return the default route of the gateway's family."""
    four = gateway.version == 4
    return Route(destination=_DEFAULT_IPV4 if four else _DEFAULT_IPV6, gateway=gateway)


def refuse(caller: Caller, error: Exception, version: str, what: str) -> None:
    """Answer with the error object; what is no CniError is our fault and logged in full."""
    if isinstance(error, CniError):
        log.warning("call refused", extra={"call": what, "code": error.code, "error": str(error)})
    else:
        log.error("internal error", extra={"call": what}, exc_info=error)
    caller.answer(1, render_error(error, version))


def _ip(address: Address) -> IpConfiguration:
    return IpConfiguration(
        address=address,
        prefix_length=address.max_prefixlen,
        gateway=GATEWAY_IPV4 if address.version == 4 else GATEWAY_IPV6,
        interface=_SANDBOX_INTERFACE,
    )


def attachment_fields(attachment: Attachment, took_s: float | None = None) -> dict[str, object]:
    """Return what the log tells of an attachment."""
    fields: dict[str, object] = {
        "container_id": attachment.key.container_id,
        "ifname": attachment.key.ifname,
        "network": attachment.key.network,
        "link": attachment.link,
        "addresses": ", ".join(map(text_of, attachment.addresses.each())),
    }
    if took_s is not None:
        fields["took_ms"] = round(took_s * 1000, 2)
    return fields
