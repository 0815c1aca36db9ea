"""Removal of attachments: begun in batches, answered when the kernel says they are gone. No I/O.

A removal is begun by ``begin`` and sent by ``flush``, once per round of the loop, so that DELs
that came together share one request. The end comes through ``on_gone``; whoever waits for it is
told then, and the addresses are free then, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cni.server.dataplane import Dataplane, Gone
from cni.server.registry import Attachment, Registry

log = logging.getLogger(__name__)

Waiter = Callable[[str | None], None]
"""Called with None when the attachment is gone, with words when the kernel refused."""


class Removals:
    """The removals under way."""

    def __init__(
        self, registry: Registry, dataplane: Dataplane, release: Callable[[Attachment], None]
    ) -> None:
        self._registry = registry
        self._dataplane = dataplane
        self._release = release
        self._waiters: dict[int, list[Waiter]] = {}
        self._unsent: list[int] = []

    @property
    def pending(self) -> int:
        """Return how many removals have begun and not ended."""
        return len(self._waiters)

    def begin(self, attachment: Attachment, waiter: Waiter | None = None) -> None:
        """Begin to remove an attachment, or join the removal that has begun."""
        if not self._registry.is_removing(attachment):
            self._registry.begin_removal(attachment)
            self._unsent.append(attachment.index)
        waiters = self._waiters.setdefault(attachment.index, [])
        if waiter is not None:
            waiters.append(waiter)

    def wait(self, attachment: Attachment, waiter: Waiter) -> None:
        """Be told of the end of a removal that has begun."""
        self._waiters.setdefault(attachment.index, []).append(waiter)

    def flush(self) -> None:
        """Send what was begun since the last call."""
        if self._unsent:
            batch, self._unsent = self._unsent, []
            self._dataplane.remove(batch)

    def on_gone(self, gone: Gone) -> None:
        """Take note of a link that left, or that the kernel refused to remove."""
        attachment = self._registry.at(gone.index)
        waiters = self._waiters.pop(gone.index, [])
        if attachment is not None and gone.error is not None:
            self._registry.end_failed_removal(attachment)
            log.error("removal refused", extra={"link": attachment.link, "error": gone.error})
        elif attachment is not None:
            if not self._registry.is_removing(attachment):
                log.info(
                    "attachment gone without DEL",
                    extra={"link": attachment.link, "container_id": attachment.key.container_id},
                )
            self._registry.drop(attachment)
            self._release(attachment)
        for waiter in waiters:
            waiter(gone.error)
