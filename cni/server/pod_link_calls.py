"""podroute itself: the commands on pod links, ADD apart (``cni.server.attach``). No I/O of its own.

A DEL succeeds for whatever does not exist (design, invariant 3).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from cni.attachment.alias import Addresses, stored_key
from cni.attachment.plan import Address, LinkSettings, plan_pod_link
from cni.server.addressing import Wish
from cni.server.answer import attachment_fields
from cni.server.attach import Attacher
from cni.server.call import Call, Caller, open_sandbox
from cni.server.collection import Collection, stale_attachments
from cni.server.dataplane import Dataplane
from cni.server.node import FALLBACK_MTU, Node
from cni.server.registry import Registry
from cni.server.removals import Removals
from cni.spec.environment import Command
from cni.spec.errors import (
    CheckFailedError,
    InvalidConfigurationError,
    NotAvailableError,
    TryAgainLaterError,
    UnknownContainerError,
    render_error,
)
from cni.spec.options import parse_options
from cni.spec.result import previous_addresses

log = logging.getLogger(__name__)


class PodLinkCalls:
    """Carries out the calls of the plugin podroute."""

    def __init__(
        self,
        attacher: Attacher,
        dataplane: Dataplane,
        node: Node,
        registry: Registry,
        removals: Removals,
    ) -> None:
        self._dataplane = dataplane
        self._node = node
        self._registry = registry
        self._removals = removals
        self._handlers: dict[Command, Callable[[Call, Caller], None]] = {
            Command.ADD: attacher.add,
            Command.DEL: self._del,
            Command.CHECK: self._check,
            Command.GC: self._gc,
            Command.STATUS: self._status,
        }

    def handle(self, call: Call, caller: Caller) -> None:
        """Carry out a call; the caller is answered now or later, or a CniError raised."""
        self._handlers[call.environment.command](call, caller)

    def _del(self, call: Call, caller: Caller) -> None:
        attachment = self._registry.get(stored_key(call.key))
        if attachment is None:
            caller.answer(0, b"")
            return

        def end(error: str | None) -> None:
            if error is None:
                log.info("attachment removed", extra=attachment_fields(attachment))
                caller.answer(0, b"")
            else:
                failure = TryAgainLaterError(f"the link stays: {error}")
                caller.answer(1, render_error(failure, call.configuration.version))

        self._removals.begin(attachment, end)

    def _gc(self, call: Call, caller: Caller) -> None:
        stale = stale_attachments(call, self._registry)
        collection = Collection(call, caller, stale)
        for attachment in stale:
            self._removals.begin(attachment, partial(collection.removed, attachment))

    def _check(self, call: Call, caller: Caller) -> None:
        sandbox = open_sandbox(call, caller)
        if call.configuration.prev_result is None:
            raise InvalidConfigurationError((("prevResult", "is missing"),))
        key = stored_key(call.key)
        attachment = self._registry.get(key)
        if attachment is None or self._registry.is_removing(attachment):
            raise UnknownContainerError(f"{key.container_id} {key.ifname} in {key.network}")
        previous = previous_addresses(call.configuration.prev_result, call.environment.ifname)
        if previous.addresses != set(attachment.addresses.each()):
            raise CheckFailedError(
                f"prevResult has {_listed(previous.addresses)}, "
                f"the attachment {_listed(attachment.addresses.each())}"
            )
        settings = LinkSettings(
            mtu=FALLBACK_MTU,
            sources=Addresses(),
            anti_spoofing=parse_options(call.raw).anti_spoofing,
        )
        plan = plan_pod_link(call.key, attachment.addresses, settings)
        # The name it was made with: the configured prefix may have changed since.
        plan = replace(plan, create=replace(plan.create, host_name=attachment.link))
        missing = self._dataplane.check(plan, attachment.index, sandbox)
        if missing:
            raise CheckFailedError("missing: " + "; ".join(missing))
        caller.answer(0, b"")

    def _status(self, call: Call, caller: Caller) -> None:
        options = parse_options(call.raw)
        self._node.require_available(Wish(reserved=options.reserved))
        if options.anti_spoofing and (problem := self._dataplane.filter_problem()):
            raise NotAvailableError(problem)
        caller.answer(0, b"")


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(sorted(map(str, addresses)))
