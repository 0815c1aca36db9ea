"""Follow all objects of a collection, gently. SHELL.

As in `watch`, with two differences: the list comes in pages, each forgotten before the next is
asked for, since ten thousand EndpointSlices in one answer are 40 MB; and what a list no longer has
is dropped only when its last page was read, so that a list that fails half-way drops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from router.kube import convert
from router.kube.errors import MalformedError
from router.kube.watch import Following
from router.model.service import Key

_PAGE: Final = 500


class Sink(Protocol):
    """Where objects go; none of its methods raises."""

    def put(self, key: Key, raw: Mapping[str, Any]) -> None:
        """Take a new or changed object."""

    def drop(self, key: Key) -> None:
        """Take the end of an object."""

    def keep_only(self, keys: set[Key]) -> None:
        """Take the end of a list: these are all that there are."""

    def settled(self) -> None:
        """Tell that what came together has been taken."""


@dataclass(slots=True, kw_only=True)
class CollectionWatch(Following):
    """All objects of a collection, followed for ever by `follow`."""

    sink: Sink
    noted: Callable[[str], None]
    """Called with what is wrong with an object that cannot be used; the others go on."""
    key: Callable[[Mapping[str, Any]], Key] = convert.key_of
    """Tells objects apart. Raises MalformedError."""

    async def _list(self) -> None:
        seen: set[Key] = set()
        token = ""
        answer: dict[str, Any] = {}
        while token or not answer:
            self.health.requests += 1
            call = self.target.page_call(token, _PAGE)
            answer = await self.api.request(call, self.pace.request_s)
            for item in convert.items_of(answer):
                key = self._put(item)
                if key is not None:
                    seen.add(key)
            token = convert.continue_token(answer)
        self.sink.keep_only(seen)
        self._course.version = convert.resource_version(answer)
        self._course.expired = False
        self.sink.settled()

    def _take(self, event: convert.WatchEvent) -> None:
        if not self._course.advanced(event):
            return
        if event.kind == "DELETED":
            self.sink.drop(self.key(event.object))
        else:
            self._put(event.object)
        self.sink.settled()

    def _put(self, raw: Mapping[str, Any]) -> Key | None:
        try:
            key = self.key(raw)
        except MalformedError as error:
            self.noted(str(error))
            return None
        self.sink.put(key, raw)
        return key
