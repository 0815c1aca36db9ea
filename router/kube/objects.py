"""Our configuration objects, followed where their resources are installed. SHELL.

Where they are not, the API server is asked again every half hour: users of a ConfigMap pay one
request for what they do not use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.kube import convert
from router.kube.client import Api
from router.kube.clock import Clock
from router.kube.collection import CollectionWatch
from router.kube.errors import KubeError, RefusedError
from router.kube.pace import Backoff, Pace
from router.kube.watch import Following, Target
from router.model.config_object import (
    ADVERTISEMENT,
    GROUP_VERSION,
    NETWORK,
    PEER,
    ConfigObject,
)
from router.model.service import Key

COLLECTION: Final = f"/apis/{GROUP_VERSION}"
PLURALS: Final = {NETWORK: "podnetworks", PEER: "bgppeers", ADVERTISEMENT: "bgpadvertisements"}
_ABSENT_S: Final = 1800.0
_DENIED_S: Final = 600.0
_TRIES: Final = 8
"""How often resources that were there are asked for before they are taken for gone: 1 to 3 min."""
SETTLE_S: Final = 0.3
"""Objects that are applied together are taken together."""
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403


class _EndError(Exception):
    """The resources are not there (any more), or not for us; the text says which, '' if absent."""

    def __init__(self, problem: str, again_s: float) -> None:
        super().__init__(problem)
        self.problem = problem
        self.again_s = again_s

    @property
    def is_absence(self) -> bool:
        """Whether the API server says that there is no such resource."""
        return not self.problem


def _ending(error: KubeError, what: str) -> _EndError | None:
    if not isinstance(error, RefusedError):
        return None
    if error.status == _NOT_FOUND:
        return _EndError("", _ABSENT_S)
    if error.status == _FORBIDDEN:
        return _EndError(f"{what}: {error}", _DENIED_S)
    return None


@dataclass(slots=True, kw_only=True)
class _ObjectWatch(CollectionWatch):
    """A collection that may not be there."""

    def _fail(self, error: KubeError, lived_s: float) -> float:
        end = _ending(error, self.target.collection)
        if end is not None:
            raise end
        return Following._fail(self, error, lived_s)


@dataclass(slots=True, kw_only=True)
class ObjectFollower:
    """Keeps the newest objects of all kinds at hand."""

    api: Api
    pace: Pace
    clock: Clock
    changed: Callable[[tuple[ConfigObject, ...]], None]
    """Gets all objects once all lists were read, and whenever they differ."""
    told: Callable[[], None]
    noted: Callable[[str], None]
    watches: Mapping[str, CollectionWatch] = field(default_factory=dict)
    """Those that are running."""
    problem: str = ""
    """Why they cannot be read."""
    _was_there: bool = False

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            try:
                await self._ask()
                await self._watch()
            except _EndError as end:
                if end.is_absence and await self._comes_back():
                    continue
                self.problem = end.problem
                self._was_there = False
                self.changed(())
                self.told()
                await self.clock.sleep(end.again_s * (1.0 + self.clock.fraction() / 4))

    async def _comes_back(self) -> bool:
        """Tell whether resources that were there are not gone for good.

        An API server that has just started may answer 404 until it knows its CRDs.
        """
        backoff = Backoff(self.pace)
        while self._was_there and backoff.failures < _TRIES:
            await self.clock.sleep(backoff.delay_s(self.clock.fraction()))
            try:
                await self._look()
            except _EndError as end:
                if end.is_absence:
                    continue
            except KubeError:
                pass  # `_ask` tells it
            return True
        return False

    async def _look(self) -> None:
        """Ask once for one object. Raises _EndError, KubeError."""
        target = Target(collection=f"{COLLECTION}/{PLURALS[NETWORK]}")
        try:
            await self.api.request(target.page_call("", 1), self.pace.request_s)
        except KubeError as error:
            end = _ending(error, target.collection)
            if end is None:
                raise
            raise end from error

    async def _ask(self) -> None:
        """Return once the resources are known to be there. Raises _EndError."""
        backoff = Backoff(self.pace)
        while True:
            try:
                await self._look()
            except KubeError as error:
                self.problem = str(error)
                self.told()
                await self.clock.sleep(backoff.delay_s(self.clock.fraction()))
            else:
                self.problem = ""
                self._was_there = True
                return

    async def _watch(self) -> None:
        """Run all watches until one of them says that there is nothing. Raises _EndError."""
        found = _Found()
        self.watches = {
            plural: _ObjectWatch(
                api=self.api,
                target=Target(collection=f"{COLLECTION}/{plural}"),
                pace=self.pace,
                clock=self.clock,
                told=self.told,
                sink=_Sink(found, kind),
                noted=self.noted,
                key=convert.cluster_key_of,
            )
            for kind, plural in PLURALS.items()
        }
        tasks = [asyncio.create_task(watch.follow()) for watch in self.watches.values()]
        tasks.append(asyncio.create_task(self._publish(found)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.watches = {}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish(self, found: _Found) -> None:
        while True:
            await found.dirty.wait()
            await self.clock.sleep(SETTLE_S)
            found.dirty.clear()
            if not found.missing:
                self.changed(tuple(found.objects[key] for key in sorted(found.objects)))


@dataclass(slots=True)
class _Found:
    """What was read so far."""

    objects: dict[tuple[str, str], ConfigObject] = field(default_factory=dict)
    """By kind and name."""
    missing: set[str] = field(default_factory=lambda: set(PLURALS))
    """Kinds whose list was not read to its end yet."""
    dirty: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Sink:
    found: _Found
    kind: str

    def put(self, key: Key, raw: Mapping[str, Any]) -> None:
        made = convert.config_object(self.kind, key.name, raw)
        if self.found.objects.get((self.kind, key.name)) != made:
            self.found.objects[self.kind, key.name] = made
            self.found.dirty.set()

    def drop(self, key: Key) -> None:
        if self.found.objects.pop((self.kind, key.name), None) is not None:
            self.found.dirty.set()

    def keep_only(self, keys: set[Key]) -> None:
        kept = {key.name for key in keys}
        for kind, name in tuple(self.found.objects):
            if kind == self.kind and name not in kept:
                self.drop(Key("", name))
        if self.kind in self.found.missing:
            self.found.missing.discard(self.kind)
            self.found.dirty.set()

    def settled(self) -> None:
        """Wait for more: `_publish` settles all kinds together."""
