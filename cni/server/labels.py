"""The labels of the attachments: written at ADD, dropped with the link. No I/O of its own."""

from __future__ import annotations

import logging
from collections.abc import Collection

from cni.attachment.label import Label, parse_label, render_label
from cni.server.records import Records

log = logging.getLogger(__name__)


class Labels:
    """Labels by the name of the host's link. One that cannot be kept is only logged."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, link: str, label: Label) -> None:
        """Keep a label."""
        try:
            self._records.put(link, render_label(label))
        except OSError as error:
            log.warning("label not kept", extra={"link": link, "error": str(error)})

    def drop(self, link: str) -> None:
        """Forget a label."""
        try:
            self._records.drop(link)
        except OSError as error:
            log.warning("label stays", extra={"link": link, "error": str(error)})

    def each(self) -> dict[str, Label]:
        """Return all labels, none if they cannot be read."""
        try:
            contents = self._records.each()
        except OSError as error:
            log.warning("labels not read", extra={"error": str(error)})
            return {}
        return {name: parse_label(content) for name, content in contents.items()}

    def keep_only(self, links: Collection[str]) -> None:
        """Drop the labels of links that left while no server ran."""
        for name in self.each():
            if name not in links:
                self.drop(name)
