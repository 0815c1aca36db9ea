"""The attachments of this node, as the server remembers them. No I/O.

Memory only: the kernel is the store (design D2), and ``classify`` turns what it has into this.
An attachment is known by its stored key (see ``cni.attachment.alias``) and by its link's index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cni.attachment.alias import Addresses, MalformedAliasError, parse_alias
from cni.attachment.identity import AttachmentKey
from cni.server.dataplane import ObservedLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A pod link that was made whole: what it lacks by now is put back."""

    key: AttachmentKey
    addresses: Addresses
    link: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A link in our group that is no attachment, and why."""

    index: int
    link: str
    reason: str


def classify(observed: ObservedLink) -> Attachment | Unfinished:
    """Decide whether a link is an attachment: its alias complete, and not condemned.

    Host routes are no sign: a living pod's may be gone, since the kernel drops them together with
    the node address that they prefer as source.
    """
    index, link = observed.index, observed.name
    if observed.condemned:
        return Unfinished(index=index, link=link, reason="its removal had begun")
    try:
        key, addresses = parse_alias(observed.alias)
    except MalformedAliasError as error:
        return Unfinished(index=index, link=link, reason=str(error))
    return Attachment(key=key, addresses=addresses, link=link, index=index)


class Registry:
    """All attachments, and which of them are being removed."""

    def __init__(self) -> None:
        self._by_key: dict[AttachmentKey, Attachment] = {}
        self._by_index: dict[int, Attachment] = {}
        self._removing: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Attachment]:
        return iter(tuple(self._by_key.values()))

    def get(self, key: AttachmentKey) -> Attachment | None:
        """Return the attachment with this stored key."""
        return self._by_key.get(key)

    def at(self, index: int) -> Attachment | None:
        """Return the attachment whose host link has this index."""
        return self._by_index.get(index)

    def add(self, attachment: Attachment) -> None:
        """Remember an attachment; raise ValueError if its key or its index is known."""
        if attachment.key in self._by_key or attachment.index in self._by_index:
            raise ValueError(f"attachment known already: {attachment}")
        self._by_key[attachment.key] = attachment
        self._by_index[attachment.index] = attachment

    def drop(self, attachment: Attachment) -> None:
        """Forget an attachment whose link is gone."""
        del self._by_key[attachment.key]
        del self._by_index[attachment.index]
        self._removing.discard(attachment.index)

    def is_removing(self, attachment: Attachment) -> bool:
        """Return whether its removal has begun."""
        return attachment.index in self._removing

    def begin_removal(self, attachment: Attachment) -> None:
        """Mark it: no longer to be counted on, its addresses not free yet."""
        self._removing.add(attachment.index)

    def end_failed_removal(self, attachment: Attachment) -> None:
        """Unmark it: the kernel kept the link, a later DEL tries again."""
        self._removing.discard(attachment.index)
