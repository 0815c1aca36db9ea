"""What each CNI command does. No I/O of its own: the kernel is behind ``Dataplane``.

One thread, one call at a time; a call that must wait (DEL for the kernel, ADD for the former
holder of its name to be gone) leaves a callback and returns.

Invariants: an ADD that answered success has a working link, one that failed left nothing behind;
DEL succeeds for whatever does not exist; no address has two attachments (design, invariants 1-3).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from cni.attachment.alias import Addresses, stored_key
from cni.attachment.identity import AttachmentKey
from cni.attachment.plan import Address, LinkSettings, plan_pod_link
from cni.ipam.allocator import AddressTakenError
from cni.server.addressing import Addressing
from cni.server.answer import add_result, preferred_sources
from cni.server.call import Call, Caller, check_call, decode_request, is_version_command
from cni.server.collection import Collection, stale_attachments
from cni.server.dataplane import Dataplane
from cni.server.facts import FactsFile
from cni.server.registry import Attachment, Registry, Unfinished, classify
from cni.server.removals import Removals
from cni.spec.environment import Command
from cni.spec.errors import (
    AttachmentExistsError,
    CheckFailedError,
    CniError,
    InvalidConfigurationError,
    InvalidEnvironmentError,
    NotAvailableError,
    PoolExhaustedError,
    TryAgainLaterError,
    UnknownContainerError,
    render_error,
)
from cni.spec.result import previous_addresses, render_result
from cni.spec.version import version_result
from cni.wire import Request

log = logging.getLogger(__name__)

FALLBACK_MTU: Final = 1500


class Service:
    """Carries out CNI calls."""

    def __init__(
        self,
        dataplane: Dataplane,
        facts_file: FactsFile,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dataplane = dataplane
        self._facts_file = facts_file
        self._clock = clock
        self._addressing = Addressing(clock)
        self._registry = Registry()
        self._removals = Removals(self._registry, dataplane, self._addressing.release)
        self._sources = Addresses()
        self._sources_complete = False
        self._handlers: dict[Command, Callable[[Call, Caller], None]] = {
            Command.ADD: self._add,
            Command.DEL: self._del,
            Command.CHECK: self._check,
            Command.GC: self._gc,
            Command.STATUS: self._status,
        }

    @property
    def pending(self) -> int:
        """Return how many removals are under way."""
        return self._removals.pending

    def rebuild(self) -> tuple[Unfinished, ...]:
        """Learn the attachments from the kernel; return the links that are none, to be removed."""
        self.refresh()
        unfinished: list[Unfinished] = []
        for observed in self._dataplane.observe():
            found = classify(observed)
            if isinstance(found, Attachment):
                try:
                    self._addressing.take(found.key, found.addresses)
                    self._registry.add(found)
                    continue
                except (AddressTakenError, ValueError) as error:
                    found = Unfinished(index=observed.index, link=observed.name, reason=str(error))
            log.warning("unfinished link", extra={"link": found.link, "reason": found.reason})
            unfinished.append(found)
        log.info("attachments found", extra={"count": len(self._registry)})
        return tuple(unfinished)

    def refresh(self) -> None:
        """Follow the node facts, if they changed."""
        facts_file = self._facts_file
        changed = facts_file.refresh()
        if facts_file.facts is None or not (changed or not self._sources_complete):
            return
        if changed:
            self._addressing.follow(facts_file.facts)
            log.info("node facts read", extra={"generation": facts_file.facts.generation})
        local = self._dataplane.local_addresses()
        self._sources = preferred_sources(facts_file.facts, local)
        self._sources_complete = self._sources == preferred_sources(facts_file.facts, None)

    def handle(self, request: Request, caller: Caller) -> None:
        """Carry out a call; the caller is answered now or later, exactly once."""
        decoded = decode_request(request)
        try:
            if is_version_command(decoded):
                caller.answer(0, version_result(decoded.version_text))
                return
            call = check_call(decoded)
            self._handlers[call.environment.command](call, caller)
        except CniError as error:
            _refuse(caller, error, decoded.version_text, decoded.request)
        except Exception as error:
            log.exception("internal error")
            caller.answer(1, render_error(error, decoded.version_text))

    def flush(self) -> None:
        """Send the removals that calls of this round began."""
        self._removals.flush()

    def collect(self) -> None:
        """Take note of the links that left the kernel."""
        for gone in self._dataplane.collect():
            self._removals.on_gone(gone)

    # ADD

    def _add(self, call: Call, caller: Caller) -> None:
        started_s = self._clock()
        if call.configuration.prev_result is not None:
            raise InvalidConfigurationError(
                (("prevResult", "must be absent: podroute makes the interface, it comes first"),)
            )
        if caller.sandbox is None:
            raise InvalidEnvironmentError(
                (("CNI_NETNS", f"cannot be opened: {call.environment.netns[:200]!r}"),)
            )
        key = stored_key(call.key)
        former = self._registry.get(key)
        if former is not None and self._registry.is_removing(former):
            self._removals.wait(former, lambda error: self._add_later(error, call, caller))
            return
        if former is not None:
            raise AttachmentExistsError(f"{key.container_id} {key.ifname} in {key.network}")
        attachment, result = self._attach(call, key, caller.sandbox)
        if caller.answer(0, result):
            log.info("attachment added", extra=_fields(attachment, self._clock() - started_s))
        else:
            # Nobody was told, so nobody will call DEL with certainty.
            log.warning("ADD without a caller undone", extra=_fields(attachment))
            self._removals.begin(attachment)

    def _add_later(self, error: str | None, call: Call, caller: Caller) -> None:
        """Go on with an ADD whose former holder is gone."""
        if caller.gone():
            return
        version = call.configuration.version
        try:
            if error is not None:
                raise TryAgainLaterError(f"the former attachment cannot be removed: {error}")
            self._add(call, caller)
        except CniError as failure:
            _refuse(caller, failure, version, None)
        except Exception as failure:
            log.exception("internal error")
            caller.answer(1, render_error(failure, version))

    def _attach(self, call: Call, key: AttachmentKey, sandbox: int) -> tuple[Attachment, bytes]:
        """Allocate and create; on any error nothing is left of either."""
        mtu = self._ready_mtu(call)
        addresses = self._addressing.allocate(key)
        try:
            settings = LinkSettings(mtu=mtu, sources=self._sources)
            plan = plan_pod_link(call.key, addresses, settings)
            result = render_result(add_result(plan, addresses, call), call.configuration.version)
            # Last, because what it made would have to be undone if anything after it failed.
            index = self._dataplane.create(plan, sandbox)
        except BaseException:
            self._addressing.release(addresses)
            raise
        attachment = Attachment(
            key=key, addresses=addresses, link=plan.create.host_name, index=index
        )
        self._registry.add(attachment)
        return attachment, result

    def _ready_mtu(self, call: Call) -> int:
        """Return the pod's MTU; raise TryAgainLaterError while the node is not ready."""
        self.refresh()
        facts = self._facts_file.facts
        if facts is None:
            raise TryAgainLaterError(self._facts_file.problem)
        if not facts.ready:
            raise TryAgainLaterError(f"the node is not ready: {facts.reason}")
        return call.configuration.mtu or facts.mtu or FALLBACK_MTU

    # DEL, GC

    def _del(self, call: Call, caller: Caller) -> None:
        attachment = self._registry.get(stored_key(call.key))
        if attachment is None:
            caller.answer(0, b"")
            return
        started_s = self._clock()

        def end(error: str | None) -> None:
            if error is None:
                log.info("attachment removed", extra=_fields(attachment, self._clock() - started_s))
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

    # CHECK, STATUS

    def _check(self, call: Call, caller: Caller) -> None:
        if caller.sandbox is None:
            raise InvalidEnvironmentError(
                (("CNI_NETNS", f"cannot be opened: {call.environment.netns[:200]!r}"),)
            )
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
        settings = LinkSettings(mtu=FALLBACK_MTU, sources=Addresses())
        plan = plan_pod_link(call.key, attachment.addresses, settings)
        missing = self._dataplane.check(plan, attachment.index, caller.sandbox)
        if missing:
            raise CheckFailedError("missing: " + "; ".join(missing))
        caller.answer(0, b"")

    def _status(self, call: Call, caller: Caller) -> None:
        try:
            self._ready_mtu(call)
            pools = self._addressing.pools()
            if not pools:
                raise TryAgainLaterError("the node has no pod CIDR yet")
            for pool in pools:
                if pool.in_use >= pool.size:
                    raise PoolExhaustedError(
                        f"pool {pool.name}: {pool.in_use} of {pool.size} usable addresses in use"
                    )
        except CniError as error:
            raise NotAvailableError(error.detail) from None
        caller.answer(0, b"")


def _refuse(caller: Caller, error: CniError, version: str, request: Request | None) -> None:
    variables = request.variables if request is not None else {}
    log.warning(
        "call refused",
        extra={
            "command": variables.get("CNI_COMMAND", ""),
            "container_id": variables.get("CNI_CONTAINERID", ""),
            "code": error.code,
            "error": str(error),
        },
    )
    caller.answer(1, render_error(error, version))


def _fields(attachment: Attachment, took_s: float | None = None) -> dict[str, object]:
    fields: dict[str, object] = {
        "container_id": attachment.key.container_id,
        "ifname": attachment.key.ifname,
        "network": attachment.key.network,
        "link": attachment.link,
        "addresses": _listed(attachment.addresses.each()),
    }
    if took_s is not None:
        fields["took_ms"] = round(took_s * 1000, 2)
    return fields


def _listed(addresses: Iterable[Address]) -> str:
    return ", ".join(sorted(map(str, addresses)))
