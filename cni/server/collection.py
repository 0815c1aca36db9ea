"""GC: which attachments the runtime no longer knows, and one answer when they are gone. No I/O.

Reference: CNI SPEC.md, "GC: Clean up any stale resources".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cni.attachment.alias import stored_key
from cni.attachment.identity import AttachmentKey
from cni.server.call import Call, Caller
from cni.server.registry import Attachment
from cni.spec.errors import InvalidConfigurationError, TryAgainLaterError, render_error

log = logging.getLogger(__name__)


def stale_attachments(call: Call, attachments: Iterable[Attachment]) -> tuple[Attachment, ...]:
    """Return the attachments of the call's network that are not in its list.

    Raises InvalidConfigurationError without a list: it must not count as an empty one.
    """
    valid = call.configuration.valid_attachments
    if valid is None:
        raise InvalidConfigurationError((("cni.dev/valid-attachments", "is missing"),))
    network = call.configuration.name
    keep = {
        stored_key(AttachmentKey(network=network, container_id=container_id, ifname=ifname))
        for container_id, ifname in valid
    }
    stored_network = stored_key(call.key).network
    return tuple(
        each for each in attachments if each.key.network == stored_network and each.key not in keep
    )


class Collection:
    """Counts the removals of one GC and answers after the last; one that fails stops no other."""

    def __init__(self, call: Call, caller: Caller, stale: tuple[Attachment, ...]) -> None:
        self._call = call
        self._caller = caller
        self._left = len(stale)
        self._failures: list[str] = []
        if not stale:
            self._answer()

    def removed(self, attachment: Attachment, error: str | None) -> None:
        """Take note of the end of one removal."""
        self._left -= 1
        if error is None:
            log.info(
                "attachment collected",
                extra={"link": attachment.link, "container_id": attachment.key.container_id},
            )
        else:
            self._failures.append(f"{attachment.link}: {error}")
        if not self._left:
            self._answer()

    def _answer(self) -> None:
        if self._failures:
            failure = TryAgainLaterError("; ".join(self._failures))
            self._caller.answer(1, render_error(failure, self._call.configuration.version))
        else:
            self._caller.answer(0, b"")
