"""ADD of a pod link: check, allocate, create, answer. No I/O of its own.

An ADD that fails leaves nothing; one that succeeds has recorded itself in the kernel; no address
has two attachments (design, invariants 1 and 2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cni.attachment.alias import Addresses, stored_key
from cni.attachment.identity import HOST_MAC, AttachmentKey, MacAddress
from cni.attachment.label import make_label
from cni.attachment.plan import LinkSettings, PodLinkPlan, plan_pod_link
from cni.server.addressing import ANY, AddressHeldError, Wish
from cni.server.answer import add_result, attachment_fields, refuse, render_plain_result
from cni.server.call import Call, Caller, open_sandbox
from cni.server.dataplane import Dataplane
from cni.server.labels import Labels
from cni.server.node import Node
from cni.server.registry import Attachment, Registry
from cni.server.removals import Removals
from cni.spec.errors import (
    AttachmentExistsError,
    InvalidConfigurationError,
    TryAgainLaterError,
)
from cni.spec.options import Options, parse_options
from cni.spec.requested import ASKING_ARGS, Requested, parse_requested
from cni.spec.result import render_result

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """``monotonic`` and ``wall`` (Unix time), both in seconds."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """An ADD whose parameters are checked: what is wanted, for whom."""

    call: Call
    key: AttachmentKey
    """As the kernel stores it."""
    options: Options
    requested: Requested

    @property
    def wish(self) -> Wish:
        addresses, reserved = self.requested.each(), self.options.reserved
        return Wish(addresses=addresses, reserved=reserved) if addresses or reserved else ANY

    def settings(self, mtu: int, sources: Addresses) -> LinkSettings:
        mac = self.requested.mac
        return LinkSettings(
            mtu=mtu,
            sources=sources,
            mac=None if mac is None else MacAddress(mac),
            queues=self.options.queues,
            host_prefix=self.options.host_interface_prefix,
            anti_spoofing=self.options.anti_spoofing,
        )

    def result(self, plan: PodLinkPlan, addresses: Addresses, beside: frozenset[int]) -> bytes:
        dns = self.requested.dns or self.options.dns
        netns, version = self.call.environment.netns, self.call.configuration.version
        if dns is None:
            return render_plain_result(plan, addresses, netns, beside, version)
        return render_result(add_result(plan, addresses, netns, dns, beside), version)


def _read_order(call: Call, readings: _Readings) -> _Order:
    """Check what an ADD needs of the call besides what every command does."""
    if call.configuration.prev_result is not None:
        raise InvalidConfigurationError(
            (("prevResult", "must be absent: podroute makes the interface, it comes first"),)
        )
    requested = readings.requested_of(call)
    if requested.mac == HOST_MAC:
        raise InvalidConfigurationError((("mac", "is that of the node's end of every link"),))
    return _Order(
        call=call, key=stored_key(call.key), options=readings.options_of(call), requested=requested
    )


class _Readings:
    """The operator's settings and the pod's wishes, read once per configuration.

    A runtime sends the same one for most pods, and ``cni.server.call`` makes it the same object.
    """

    def __init__(self) -> None:
        self._options: tuple[Mapping[str, object], Options] = ({}, Options())
        self._requested: tuple[Mapping[str, object], Requested] = ({}, Requested())

    def options_of(self, call: Call) -> Options:
        raw, options = self._options
        if raw is not call.raw:
            options = parse_options(call.raw)
            self._options = (call.raw, options)
        return options

    def requested_of(self, call: Call) -> Requested:
        args = call.environment.args
        if not ASKING_ARGS.isdisjoint(args):
            return parse_requested(call.raw, args)
        raw, requested = self._requested
        if raw is not call.raw:
            requested = parse_requested(call.raw, {})
            self._requested = (call.raw, requested)
        return requested


class Attacher:
    """Carries out ADDs."""

    def __init__(
        self,
        dataplane: Dataplane,
        node: Node,
        registry: Registry,
        removals: Removals,
        labels: Labels,
        clocks: Clocks,
    ) -> None:
        self._dataplane = dataplane
        self._node = node
        self._registry = registry
        self._removals = removals
        self._labels = labels
        self._clocks = clocks
        self._readings = _Readings()
        self._unknown_told: set[tuple[str, ...]] = set()

    def add(self, call: Call, caller: Caller) -> None:
        """Make an attachment and answer, or wait for the end of the one that is in the way."""
        started_s = self._clocks.monotonic()
        order = _read_order(call, self._readings)
        self._tell_unknown(order.options)
        sandbox = open_sandbox(call, caller)
        if self._waits_for(order.key, call, caller):
            return
        if self._registry.get(order.key) is not None:
            raise AttachmentExistsError(
                f"{order.key.container_id} {order.key.ifname} in {order.key.network}"
            )
        mtu = self._node.ready_mtu(order.options.mtu)
        try:
            addresses = self._node.addressing.allocate(order.key, order.wish)
        except AddressHeldError as error:
            if self._waits_for(error.holder, call, caller):
                return
            raise
        attachment, result = self._attach(order, addresses, mtu, sandbox)
        if caller.answer(0, result):
            took_s = self._clocks.monotonic() - started_s
            self._keep_label(order, attachment)
            log.info("attachment added", extra=attachment_fields(attachment, took_s))
        else:
            # Nobody was told, so nobody will call DEL with certainty.
            log.warning("ADD without a caller undone", extra=attachment_fields(attachment))
            self._removals.begin(attachment)

    def _waits_for(self, key: AttachmentKey, call: Call, caller: Caller) -> bool:
        """Return whether the attachment ``key`` is being removed; the ADD then goes on after it."""
        former = self._registry.get(key)
        if former is None or not self._registry.is_removing(former):
            return False
        self._removals.wait(former, lambda error: self._add_later(error, call, caller))
        return True

    def _add_later(self, error: str | None, call: Call, caller: Caller) -> None:
        """Go on with an ADD after what was in its way."""
        if caller.gone():
            return
        try:
            if error is not None:
                raise TryAgainLaterError(f"the former attachment cannot be removed: {error}")
            self.add(call, caller)
        except Exception as failure:
            refuse(caller, failure, call.configuration.version, call.environment.container_id)

    def _attach(
        self, order: _Order, addresses: Addresses, mtu: int, sandbox: int
    ) -> tuple[Attachment, bytes]:
        """Create the link; on any error nothing is left of it, nor of the allocation."""
        try:
            settings = order.settings(mtu, self._node.sources)
            plan = plan_pod_link(order.call.key, addresses, settings)
            created = self._dataplane.create(plan, sandbox)
        except BaseException:
            self._node.addressing.release(addresses)
            raise
        attachment = Attachment(
            key=order.key, addresses=addresses, link=plan.create.host_name, index=created.index
        )
        self._registry.add(attachment)
        try:
            return attachment, order.result(plan, addresses, created.beside)
        except BaseException:
            self._removals.begin(attachment)
            raise

    def _keep_label(self, order: _Order, attachment: Attachment) -> None:
        """Write down what is for people only; behind the answer, since nobody waits for it."""
        environment = order.call.environment
        label = make_label(environment.args, environment.netns, self._clocks.wall())
        self._labels.put(attachment.link, label)

    def _tell_unknown(self, options: Options) -> None:
        """Log keys of the configuration that mean nothing, once."""
        if options.unknown and options.unknown not in self._unknown_told:
            self._unknown_told.add(options.unknown)
            log.warning("unknown keys in the configuration", extra={"keys": options.unknown})
