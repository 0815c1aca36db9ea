"""Follow objects of the API, gently: one named object here, collections in `collection`. SHELL.

List once, then watch from there; a watch that ends is resumed from the newest resource version
(bookmarks keep it fresh). Only `410 Gone` lists again. Every failure waits longer than the one
before, with jitter; what was seen last stays. `Course` below decides, `follow` does.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.kube import convert
from router.kube.client import Api, Call
from router.kube.clock import Clock
from router.kube.errors import KubeError, MalformedError, RefusedError
from router.kube.pace import Backoff, Pace

_log = logging.getLogger(__name__)
_GONE: Final = 410
_UNKNOWN_VERSION: Final = (400, 504)
_MARGIN_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A collection of the API and what we look at in it."""

    collection: str
    """Path, such as /api/v1/nodes."""
    name: str = ""
    """The one object that is followed; '' for all."""

    @property
    def _selected(self) -> tuple[tuple[str, str], ...]:
        return (("fieldSelector", f"metadata.name={self.name}"),) if self.name else ()

    def list_call(self, *, newest: bool) -> Call:
        """Return the request for the object as it is.

        By default the API server answers from its cache, sparing etcd; `newest` asks for a
        consistent read, needed after a resource version has expired.
        """
        query = [*self._selected]
        if not newest:
            query.append(("resourceVersion", "0"))
        return Call(method="GET", path=self.collection, query=tuple(query))

    def page_call(self, after: str, limit: int) -> Call:
        """Return the request for one page of a list; `after` is the continue token, '' at first.

        Pages are of one consistent read: the server's cache gives everything in one answer.
        """
        query = [*self._selected, ("limit", str(limit))]
        if after:
            query.append(("continue", after))
        return Call(method="GET", path=self.collection, query=tuple(query))

    def watch_call(self, version: str, timeout_s: float) -> Call:
        """Return the request for what happens after a resource version."""
        return Call(
            method="GET",
            path=self.collection,
            query=(
                *self._selected,
                ("watch", "1"),
                ("allowWatchBookmarks", "true"),
                ("resourceVersion", version),
                ("timeoutSeconds", str(max(1, round(timeout_s)))),
            ),
        )


@dataclass(slots=True)
class Course:
    """Where in the life of an object we are. PURE: answers and events in, changes out."""

    name: str
    version: str = ""
    """Resource version to watch from; '' means list first."""
    expired: bool = False

    def listed(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Take a list; return the object, None if there is none. Raises MalformedError."""
        items = [item for item in convert.items_of(answer) if convert.name_of(item) == self.name]
        self.version = convert.resource_version(answer)
        self.expired = False
        return items[0] if items else None

    def saw(self, event: convert.WatchEvent) -> tuple[bool, Mapping[str, Any] | None]:
        """Take an event; return whether the object changed, and what it is now.

        Raises RefusedError for the server's ERROR event, MalformedError.
        """
        if not self.advanced(event) or convert.name_of(event.object) != self.name:
            return False, None
        return True, event.object if event.kind != "DELETED" else None

    def advanced(self, event: convert.WatchEvent) -> bool:
        """Note the version of an event; return whether it is about an object.

        Raises RefusedError for the server's ERROR event, MalformedError.
        """
        if event.kind == "ERROR":
            raise _error_event(event.object)
        if event.kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            raise MalformedError(f"unknown kind of event {event.kind[:20]!r}")
        self.version = convert.resource_version(event.object)
        return event.kind != "BOOKMARK"

    def failed(self, error: KubeError) -> None:
        """Take a failure: after 410 the version is worth nothing.

        Nor is it when the server does not know it (400, 504): a restored etcd counts anew.
        """
        if isinstance(error, RefusedError) and error.status in (_GONE, *_UNKNOWN_VERSION):
            self.version = ""
            self.expired = error.status == _GONE


def _error_event(status: Mapping[str, Any]) -> RefusedError:
    code, reason, message = (status.get(key) for key in ("code", "reason", "message"))
    return RefusedError(
        code if isinstance(code, int) else 500, str(reason or ""), str(message or ""), None
    )


@dataclass(slots=True, kw_only=True)
class Health:
    """Whether a watch works, for operators."""

    connected: bool = False
    problem: str = "not asked yet"
    since: float = 0.0
    """Monotonic time at which `connected` last changed."""
    requests: int = 0
    failures: int = 0


@dataclass(slots=True, kw_only=True)
class Following:
    """What every watch does for ever in `follow`; the kinds below say what with the objects."""

    api: Api
    target: Target
    pace: Pace
    clock: Clock
    told: Callable[[], None]
    """Called when `health` changed."""
    health: Health = field(default_factory=Health)
    _course: Course = field(init=False)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a list."""
        self._course = Course(self.target.name)
        self._backoff = Backoff(self.pace)

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            began = self.clock.monotonic()
            try:
                if not self._course.version:
                    await self._list()
                await self._watch()
            except KubeError as error:
                delay_s = self._fail(error, self.clock.monotonic() - began)
            else:
                delay_s = self._ended(self.clock.monotonic() - began)
            await self.clock.sleep(delay_s)

    async def _list(self) -> None:
        """Read everything there is. Raises KubeError."""
        raise NotImplementedError

    def _take(self, event: convert.WatchEvent) -> None:
        """Take an event of the watch. Raises KubeError."""
        raise NotImplementedError

    async def _watch(self) -> None:
        length_s = self.pace.watch_timeout_s(self.clock.fraction())
        call = self.target.watch_call(self._course.version, length_s)
        self.health.requests += 1
        async with self.api.stream(call, length_s + _MARGIN_S) as lines:
            self._tell(connected=True, problem="")
            async for line in lines:
                self._take(convert.parse_watch_line(line))

    def _fail(self, error: KubeError, lived_s: float) -> float:
        """Note a failure; return the wait."""
        if lived_s >= self.pace.settled_s and self.health.connected:
            self._backoff.succeed()
        self._course.failed(error)
        after_s = error.retry_after_s if isinstance(error, RefusedError) else None
        delay_s = self._backoff.delay_s(self.clock.fraction(), after_s)
        self.health.failures += 1
        self._tell(connected=False, problem=str(error))
        return delay_s

    def _ended(self, lived_s: float) -> float:
        """Note a regular end of a watch; return the wait."""
        if lived_s >= min(self.pace.settled_s, self.pace.watch_s / 2):
            self._backoff.succeed()
            return max(0.0, self.pace.least_s - lived_s)
        # A server or proxy that ends every watch at once must not make us spin.
        return self._backoff.delay_s(self.clock.fraction())

    def _tell(self, *, connected: bool, problem: str) -> None:
        health = self.health
        if connected != health.connected:
            health.since = self.clock.monotonic()
            level = logging.INFO if connected else logging.WARNING
            _log.log(
                level,
                "watch of the API is open" if connected else "watch of the API is lost",
                extra={"collection": self.target.collection, "reason": problem},
            )
        elif (connected, problem) == (health.connected, health.problem):
            return
        health.connected, health.problem = connected, problem
        self.told()


@dataclass(slots=True, kw_only=True)
class Watch(Following):
    """One object, followed for ever by `follow`."""

    changed: Callable[[Mapping[str, Any] | None], None]
    """Gets each newest state; may raise MalformedError."""

    async def _list(self) -> None:
        call = self.target.list_call(newest=self._course.expired)
        self.health.requests += 1
        answer = await self.api.request(call, self.pace.request_s)
        self.changed(self._course.listed(answer))

    def _take(self, event: convert.WatchEvent) -> None:
        happened, found = self._course.saw(event)
        if happened:
            self.changed(found)
