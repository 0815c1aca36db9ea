"""podroute-ipam: addresses for other plugins' attachments, as their delegate. No I/O of its own.

Reference: CNI SPEC.md, "Delegated Plugins (IPAM)". Bridges and the like need what a pod link does
not: a prefix length and a gateway address inside the subnet, which the main plugin puts on the
node's side. One gateway per network and subnet is kept as a lease of its own, for as long as the
node is up: the main plugin never takes it off its bridge (ADR 0026).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network

from cni.attachment.alias import Addresses
from cni.attachment.lease import Lease, LeaseKey, Sandbox
from cni.attachment.plan import Address
from cni.ipam.pool import Network
from cni.server.addressing import Wish
from cni.server.answer import default_route
from cni.server.call import Call, Caller, open_sandbox
from cni.server.leases import Leases
from cni.server.node import Node
from cni.server.sandbox_path import find_sandbox, is_gone
from cni.spec.environment import Command
from cni.spec.errors import (
    AddressNotUsableError,
    AttachmentExistsError,
    CheckFailedError,
    InvalidConfigurationError,
    IoError,
    TryAgainLaterError,
    UnknownContainerError,
)
from cni.spec.options import IpamOptions, parse_ipam_options
from cni.spec.requested import parse_requested
from cni.spec.result import IpConfiguration, Result, Route, previous_ips, render_result

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """An address, its subnet, and the gateway in it."""

    address: Address
    subnet: Network
    gateway: Address


class LeaseCalls:
    """Carries out the calls of podroute-ipam; all of them at once."""

    def __init__(self, node: Node, leases: Leases, wall_clock: Callable[[], float]) -> None:
        self._node = node
        self._leases = leases
        self._wall_clock = wall_clock
        self._handlers: dict[Command, Callable[[Call, Caller], bytes]] = {
            Command.ADD: self._add,
            Command.DEL: self._del,
            Command.CHECK: self._check,
            Command.GC: self._gc,
            Command.STATUS: self._status,
        }

    def handle(self, call: Call, caller: Caller) -> None:
        """Carry out a call and answer; raise a CniError for the caller instead."""
        answer = self._handlers[call.environment.command](call, caller)
        if not caller.answer(0, answer) and call.environment.command is Command.ADD:
            # Nobody was told, so nobody will call DEL with certainty.
            self._del(call, caller)

    def sweep(self) -> int:
        """End the leases whose sandbox is gone; return how many."""
        swept = 0
        for lease in self._leases:
            if lease.sandbox is None or not is_gone(lease.sandbox):
                continue
            try:
                self._leases.end(lease)
            except IoError as error:
                log.error("lease stays", extra={**_fields(lease), "error": str(error)})
            else:
                swept += 1
                log.info("lease ended with its sandbox", extra=_fields(lease))
        return swept

    def _add(self, call: Call, caller: Caller) -> bytes:
        descriptor = open_sandbox(call, caller)
        options = parse_ipam_options(call.raw)
        requested = parse_requested(call.raw, call.environment.args, delegated=True)
        self._node.ready_mtu()
        key = _key(call)
        if self._leases.get(key) is not None:
            raise AttachmentExistsError(f"{key.container_id} {key.ifname} in {key.network}")
        wish = Wish(
            addresses=requested.each(),
            subnets=options.subnets,
            reserved=(*options.reserved, *_networks(options.gateways)),
        )
        self._refuse_strange_gateways(options)
        sandbox = find_sandbox(call.environment.netns, descriptor)
        addresses = self._node.addressing.allocate(key, wish)
        try:
            given = tuple(self._give(each, key.network, options) for each in addresses.each())
            lease = self._lease(key, addresses, sandbox)
        except BaseException:
            self._node.addressing.release(addresses)
            raise
        log.info("lease given", extra=_fields(lease))
        result = Result(
            interfaces=(),
            ips=tuple(
                IpConfiguration(
                    address=each.address,
                    prefix_length=each.subnet.prefixlen,
                    gateway=each.gateway,
                )
                for each in given
            ),
            routes=_routes(options, given),
            dns=requested.dns or options.dns,
        )
        return render_result(result, call.configuration.version)

    def _refuse_strange_gateways(self, options: IpamOptions) -> None:
        subnets = options.subnets or self._node.pod_cidrs
        for gateway in options.gateways:
            if not any(gateway in subnet for subnet in subnets):
                raise AddressNotUsableError(
                    f"gateway {gateway} is in none of {', '.join(map(str, subnets))}"
                )

    def _lease(self, key: LeaseKey, addresses: Addresses, sandbox: Sandbox | None) -> Lease:
        lease = Lease(key=key, addresses=addresses, sandbox=sandbox, since=self._wall_clock())
        self._leases.keep(lease)
        return lease

    def _give(self, address: Address, network: str, options: IpamOptions) -> _Given:
        """Find an address's subnet and gateway; the first of a subnet chooses its gateway."""
        subnets = options.subnets or self._node.pod_cidrs
        # Longest first: of nested subnets the smallest is the one the main plugin works with.
        longest_first = sorted(subnets, key=lambda each: -each.prefixlen)
        subnet = next((each for each in longest_first if address in each), None)
        if subnet is None:
            raise AddressNotUsableError(f"{address} is in none of {', '.join(map(str, subnets))}")
        named = next(
            (each for each in options.gateways if each in subnet),
            None,
        )
        key = LeaseKey(network=network, container_id="", ifname=str(subnet))
        former = self._leases.get(key)
        if former is not None and named in (None, *former.addresses.each()):
            return _Given(address=address, subnet=subnet, gateway=former.addresses.each()[0])
        if former is not None:
            self._leases.end(former)
        wish = Wish(
            addresses=() if named is None else (named,),
            subnets=(subnet,),
            reserved=options.reserved,
        )
        gateway = self._node.addressing.allocate(key, wish)
        try:
            self._lease(key, gateway, None)
        except BaseException:
            self._node.addressing.release(gateway)
            raise
        return _Given(address=address, subnet=subnet, gateway=gateway.each()[0])

    def _del(self, call: Call, _caller: Caller) -> bytes:
        lease = self._leases.get(_key(call))
        if lease is not None:
            self._leases.end(lease)
            log.info("lease ended", extra=_fields(lease))
        return b""

    def _check(self, call: Call, _caller: Caller) -> bytes:
        key = _key(call)
        lease = self._leases.get(key)
        if lease is None:
            raise UnknownContainerError(f"{key.container_id} {key.ifname} in {key.network}")
        if call.configuration.prev_result is not None:
            missing = set(lease.addresses.each()) - previous_ips(call.configuration.prev_result)
            if missing:
                raise CheckFailedError(
                    f"prevResult lacks {', '.join(sorted(map(str, missing)))} of the lease"
                )
        return b""

    def _gc(self, call: Call, _caller: Caller) -> bytes:
        valid = call.configuration.valid_attachments
        if valid is None:
            raise InvalidConfigurationError((("cni.dev/valid-attachments", "is missing"),))
        failures: list[str] = []
        for lease in self._leases:
            key = lease.key
            if key.network != call.configuration.name or key.is_gateway:
                continue
            if (key.container_id, key.ifname) not in valid:
                try:
                    self._leases.end(lease)
                    log.info("lease collected", extra=_fields(lease))
                except IoError as error:
                    failures.append(str(error))
        if failures:
            raise TryAgainLaterError("; ".join(failures))
        return b""

    def _status(self, call: Call, _caller: Caller) -> bytes:
        options = parse_ipam_options(call.raw)
        self._node.require_available(Wish(subnets=options.subnets, reserved=options.reserved))
        return b""


def _key(call: Call) -> LeaseKey:
    return LeaseKey(
        network=call.configuration.name,
        container_id=call.environment.container_id,
        ifname=call.environment.ifname,
    )


def _networks(addresses: tuple[Address, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(address) for address in addresses)


def _routes(options: IpamOptions, given: tuple[_Given, ...]) -> tuple[Route, ...]:
    if options.routes is None:
        return tuple(default_route(each.gateway) for each in given)
    return tuple(
        Route(destination=destination, gateway=gateway) for destination, gateway in options.routes
    )


def _fields(lease: Lease) -> dict[str, object]:
    return {
        "network": lease.key.network,
        "container_id": lease.key.container_id,
        "ifname": lease.key.ifname,
        "addresses": ", ".join(map(str, lease.addresses.each())),
    }
