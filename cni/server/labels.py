"""The labels of the attachments: written soon after ADD, dropped with the link. No I/O of its own.

Writing waits until nobody waits for us (``rest``): a file costs as much as a twentieth of an ADD,
and the label of a pod that ends at once is never written. A killed server loses what waits.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Collection
from typing import Final

from cni.attachment.label import Label, parse_label, render_label
from cni.server.records import Records

log = logging.getLogger(__name__)

_AT_ONCE: Final = 20
"""Less than a millisecond: a caller may come any time."""


class Labels:
    """Labels by the name of the host's link. One that cannot be kept is only logged."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._waiting: dict[str, Label] = {}

    @property
    def waiting(self) -> bool:
        """Return whether there is something for ``rest`` to write."""
        return bool(self._waiting)

    def put(self, link: str, label: Label) -> None:
        """Keep a label."""
        self._waiting[link] = label

    def rest(self) -> None:
        """Write some of those that wait."""
        for link in list(itertools.islice(self._waiting, _AT_ONCE)):
            try:
                self._records.put(link, render_label(self._waiting.pop(link)))
            except OSError as error:
                log.warning("label not kept", extra={"link": link, "error": str(error)})

    def drop(self, link: str) -> None:
        """Forget a label."""
        if self._waiting.pop(link, None) is not None:
            return
        try:
            self._records.drop(link)
        except OSError as error:
            log.warning("label stays", extra={"link": link, "error": str(error)})

    def each(self) -> dict[str, Label]:
        """Return all labels, without those that cannot be read."""
        try:
            contents = self._records.each()
        except OSError as error:
            log.warning("labels not read", extra={"error": str(error)})
            contents = {}
        written = {name: parse_label(content) for name, content in contents.items()}
        return written | self._waiting

    def keep_only(self, links: Collection[str]) -> None:
        """Drop the labels of links that left while no server ran."""
        for name in self.each():
            if name not in links:
                self.drop(name)
