"""From what was made to the answer the runtime gets. PURE."""

from __future__ import annotations

import logging
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import format_mac
from cni.attachment.plan import GATEWAY_IPV4, GATEWAY_IPV6, Address, PodLinkPlan
from cni.server.call import Caller
from cni.server.registry import Attachment
from cni.spec.errors import CniError, render_error
from cni.spec.fields import Dns
from cni.spec.result import Interface, IpConfiguration, Result, Route
from cni.spec.text import text_of

log = logging.getLogger(__name__)

_SANDBOX_INTERFACE: Final = 1
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
