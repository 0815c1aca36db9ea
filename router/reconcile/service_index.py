"""The Services of the API with their EndpointSlices, changed one by one. PURE.

A change costs what its own Service has, not what the cluster has: slices are found by Service,
and the facts of all other Services stay the same objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Final

from router.model.service import NOTHING, Facts, Key, ServiceView, Serving, SliceView


class ServiceIndex:
    """What is known now. Methods that change something tell whether any facts changed."""

    def __init__(self) -> None:
        self._services: dict[Key, ServiceView] = {}
        self._slices: dict[Key, SliceView] = {}
        self._of: dict[Key, set[Key]] = {}
        """Slices by Service."""
        self.facts: dict[Key, Facts] = {}
        """By Service; belongs to the index, copy before keeping."""

    @property
    def services(self) -> Set[Key]:
        """Return the names of all Services."""
        return self._services.keys()

    @property
    def slices(self) -> Set[Key]:
        """Return the names of all slices, also of Services that are not there (yet)."""
        return self._slices.keys()

    def put_service(self, view: ServiceView) -> bool:
        """Take a new or changed Service."""
        self._services[view.key] = view
        return self._refresh(view.key)

    def drop_service(self, key: Key) -> bool:
        """Take the end of a Service."""
        self._services.pop(key, None)
        return self._refresh(key)

    def put_slice(self, view: SliceView) -> bool:
        """Take a new or changed slice; its label may have moved it to another Service."""
        before = self._slices.get(view.key)
        moved = False
        if before is not None and before.service != view.service:
            moved = self.drop_slice(view.key)
        self._slices[view.key] = view
        self._of.setdefault(view.service, set()).add(view.key)
        return self._refresh(view.service) or moved

    def drop_slice(self, key: Key) -> bool:
        """Take the end of a slice."""
        before = self._slices.pop(key, None)
        if before is None:
            return False
        left = self._of[before.service]
        left.discard(key)
        if not left:
            del self._of[before.service]
        return self._refresh(before.service)

    def _refresh(self, key: Key) -> bool:
        before = self.facts.get(key)
        service = self._services.get(key)
        if service is None:
            self.facts.pop(key, None)
            return before is not None
        endpoints = dict.fromkeys((4, 6), NOTHING)
        slices = [self._slices[name] for name in self._of.get(key, ())]
        for view in slices:
            endpoints[view.family] |= view.serving
        after = Facts(service, endpoints, _zones(slices))
        if after == before:
            return False
        self.facts[key] = after
        return True


_NONE: Final[Mapping[int, frozenset[str]]] = MappingProxyType({})


def _zones(slices: list[SliceView]) -> Mapping[int, frozenset[str]]:
    """Return the zones that hints name by family; kube-proxy heeds them only if all have some."""
    if not any(view.zones for view in slices):
        return _NONE
    ready = [view for view in slices if view.serving & Serving.READY]
    return {
        family: frozenset().union(*(v.zones for v in ready if v.family == family))
        for family in {view.family for view in ready}
        if all(view.zones for view in ready if view.family == family)
    }
