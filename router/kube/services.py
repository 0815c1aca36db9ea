"""Services and EndpointSlices, watched only while somebody wants them. SHELL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from router.kube.client import Api
from router.kube.clock import Clock
from router.kube.collection import CollectionWatch
from router.kube.pace import Pace
from router.kube.service_convert import service_view, slice_view
from router.kube.watch import Target
from router.model.service import Key, Services
from router.reconcile.service_index import ServiceIndex

SERVICES: Final = "/api/v1/services"
SLICES: Final = "/apis/discovery.k8s.io/v1/endpointslices"


@dataclass(slots=True, kw_only=True)
class ServiceFollower:
    """Keeps the newest `Services` at hand; everything is forgotten when it is wanted no more."""

    api: Api
    node: str
    pace: Pace
    clock: Clock
    changed: Callable[[Services], None]
    told: Callable[[], None]
    noted: Callable[[str], None]
    watches: Mapping[str, CollectionWatch] = field(default_factory=dict)
    """Those that are running."""
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _unwanted: asyncio.Event = field(default_factory=asyncio.Event)

    def want(self, wanted: bool) -> None:
        """Begin, or end, or go on."""
        on, off = (self._wanted, self._unwanted) if wanted else (self._unwanted, self._wanted)
        on.set()
        off.clear()

    async def follow(self) -> None:
        """Never return; end by cancellation."""
        while True:
            await self._wanted.wait()
            try:
                await self._watch()
            finally:
                self.watches = {}
            self.changed(Services())
            self.told()

    async def _watch(self) -> None:
        """Run both watches until they are not wanted any more."""
        index = ServiceIndex()
        state = _State(index=index, changed=self.changed)
        self.watches = {
            "services": self._collection(SERVICES, _ServiceSink(state)),
            "endpoint slices": self._collection(SLICES, _SliceSink(state, self.node)),
        }
        tasks = [asyncio.create_task(watch.follow()) for watch in self.watches.values()]
        end = asyncio.create_task(self._unwanted.wait())
        try:
            done, _ = await asyncio.wait([*tasks, end], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, end):
                task.cancel()
            await asyncio.gather(*tasks, end, return_exceptions=True)

    def _collection(self, path: str, sink: _ServiceSink | _SliceSink) -> CollectionWatch:
        return CollectionWatch(
            api=self.api,
            target=Target(collection=path),
            pace=self.pace,
            clock=self.clock,
            told=self.told,
            sink=sink,
            noted=self.noted,
        )


@dataclass(slots=True, kw_only=True)
class _State:
    """The index, and what was published of it."""

    index: ServiceIndex
    changed: Callable[[Services], None]
    missing: set[str] = field(default_factory=lambda: {SERVICES, SLICES})
    """Lists that were not read to their end yet."""
    is_dirty: bool = True

    def publish(self) -> None:
        if self.missing or not self.is_dirty:
            return
        self.is_dirty = False
        found = MappingProxyType(dict(self.index.facts))
        self.changed(Services(is_known=True, found=found))


class _ServiceSink:
    def __init__(self, state: _State) -> None:
        self._state = state

    def put(self, key: Key, raw: Mapping[str, Any]) -> None:
        self._state.is_dirty |= self._state.index.put_service(service_view(key, raw))

    def drop(self, key: Key) -> None:
        self._state.is_dirty |= self._state.index.drop_service(key)

    def keep_only(self, keys: set[Key]) -> None:
        for key in set(self._state.index.services) - keys:
            self.drop(key)
        self._state.missing.discard(SERVICES)

    def settled(self) -> None:
        self._state.publish()


class _SliceSink:
    def __init__(self, state: _State, node: str) -> None:
        self._state = state
        self._node = node

    def put(self, key: Key, raw: Mapping[str, Any]) -> None:
        view = slice_view(key, raw, self._node)
        if view is None:
            self.drop(key)
        else:
            self._state.is_dirty |= self._state.index.put_slice(view)

    def drop(self, key: Key) -> None:
        self._state.is_dirty |= self._state.index.drop_slice(key)

    def keep_only(self, keys: set[Key]) -> None:
        for key in set(self._state.index.slices) - keys:
            self.drop(key)
        self._state.missing.discard(SLICES)

    def settled(self) -> None:
        self._state.publish()
