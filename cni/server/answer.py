"""From a carried-out plan to the result the runtime gets. PURE."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from cni.attachment.alias import Addresses
from cni.attachment.identity import format_mac
from cni.attachment.plan import GATEWAY_IPV4, GATEWAY_IPV6, Address, PodLinkPlan
from cni.node_facts import NodeFacts
from cni.server.call import Call
from cni.spec.result import Interface, IpConfiguration, Result, Route

_SANDBOX_INTERFACE: Final = 1
_DEFAULT_IPV4: Final = IPv4Network("0.0.0.0/0")
_DEFAULT_IPV6: Final = IPv6Network("::/0")


def add_result(plan: PodLinkPlan, addresses: Addresses, call: Call) -> Result:
    """Return the result of an ADD; the host's interface first, the pod's second."""
    create = plan.create
    return Result(
        interfaces=(
            Interface(name=create.host_name, mac=format_mac(create.host_mac), mtu=create.mtu),
            Interface(
                name=create.pod_name,
                mac=format_mac(create.pod_mac),
                mtu=create.mtu,
                sandbox=call.environment.netns,
            ),
        ),
        ips=tuple(_ip(address) for address in addresses.each()),
        routes=tuple(_default_route(address) for address in addresses.each()),
        dns=call.configuration.dns,
    )


def preferred_sources(facts: NodeFacts, local: Collection[Address] | None) -> Addresses:
    """Return the node's address per family for traffic of its own to pods.

    The first node address that is local: the kernel refuses a route that prefers another as its
    source (fib_check_nh and ip6_route_info_create: EINVAL). ``local`` None means "all of them".
    """
    return Addresses.of(each for each in facts.node_addresses if local is None or each in local)


def _ip(address: Address) -> IpConfiguration:
    return IpConfiguration(
        address=address,
        prefix_length=address.max_prefixlen,
        gateway=GATEWAY_IPV4 if address.version == 4 else GATEWAY_IPV6,
        interface=_SANDBOX_INTERFACE,
    )


def _default_route(address: Address) -> Route:
    if address.version == 4:
        return Route(destination=_DEFAULT_IPV4, gateway=GATEWAY_IPV4)
    return Route(destination=_DEFAULT_IPV6, gateway=GATEWAY_IPV6)
