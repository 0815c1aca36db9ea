"""The objects of the fake API server, with resource versions and a history to watch."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from containerlab.fakeapi import validation
from containerlab.fakeapi.resources import (
    ApiError,
    Resource,
    bad_request,
    conflict,
    expired,
    not_found,
)

Object = dict[str, Any]
Key = tuple[str, str]


class Change(NamedTuple):
    """One write, for watches."""

    version: int
    storage: tuple[str, str]
    before: Object | None
    after: Object | None


@dataclass(slots=True)
class Store:
    """All objects. Safe to use from many threads; what goes in and out are copies."""

    version: int = 1000
    compacted: int = 0
    """Newest version whose history is gone: watches from before it get 410."""
    _objects: dict[tuple[str, str], dict[Key, Object]] = field(default_factory=dict)
    _history: list[Change] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def read(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return one object."""
        with self.changed:
            found = self._table(resource).get((namespace, name))
            if found is None:
                raise not_found(resource.plural, name)
            return self._shown(resource, found)

    def listed(self, resource: Resource, namespace: str) -> tuple[int, list[Object]]:
        """Return the version and all objects in key order."""
        with self.changed:
            found = [
                self._shown(resource, value)
                for key, value in sorted(self._table(resource).items())
                if not namespace or key[0] == namespace
            ]
            return self.version, found

    def create(self, resource: Resource, namespace: str, given: Object) -> Object:
        """Store a new object under its name or generateName."""
        with self.changed:
            made = copy.deepcopy(given)
            metadata = made.setdefault("metadata", {})
            if not metadata.get("name") and metadata.get("generateName"):
                metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
            name = metadata.get("name")
            if not name:
                raise bad_request("name or generateName is required")
            if metadata.get("namespace", namespace) != namespace:
                raise bad_request("the namespace of the object does not match the request")
            if (namespace, name) in self._table(resource):
                raise ApiError(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
            metadata["uid"] = str(uuid.uuid4())
            metadata["creationTimestamp"] = _now()
            if resource.namespaced:
                metadata["namespace"] = namespace
            validation.check(resource, None, made)
            self._put(resource, (namespace, name), None, made)
            return self._shown(resource, made)

    def write(
        self,
        resource: Resource,
        key: Key,
        make: Callable[[Object], Object],
        *,
        status: bool,
    ) -> Object:
        """Replace an object by what *make* returns for it, through one of its two doors."""
        with self.changed:
            table = self._table(resource)
            before = table.get(key)
            if before is None:
                raise not_found(resource.plural, key[1])
            after = make(self._shown(resource, before))
            given = (after.get("metadata") or {}).get("resourceVersion")
            if given and given != before["metadata"]["resourceVersion"]:
                raise conflict(resource.plural, key[1])
            after = _through_door(resource, before, after, status=status)
            validation.check(resource, before, after)
            if _same(before, after):
                return self._shown(resource, before)
            if after["metadata"].get("deletionTimestamp") and not after["metadata"].get(
                "finalizers"
            ):
                self._put(resource, key, before, None)
            else:
                self._put(resource, key, before, after)
            return self._shown(resource, after)

    def delete(self, resource: Resource, key: Key, preconditions: Object) -> Object:
        """Delete, or only mark for deletion while there are finalizers."""
        with self.changed:
            before = self._table(resource).get(key)
            if before is None:
                raise not_found(resource.plural, key[1])
            for name, value in preconditions.items():
                if before["metadata"].get(name) != value:
                    raise conflict(resource.plural, key[1])
            if before["metadata"].get("finalizers"):
                after = copy.deepcopy(before)
                after["metadata"].setdefault("deletionTimestamp", _now())
                if not _same(before, after):
                    self._put(resource, key, before, after)
                return self._shown(resource, after)
            self._put(resource, key, before, None)
            return self._shown(resource, before)

    def owned(self, uid: str, resources: list[Resource]) -> list[tuple[Resource, Object]]:
        """Return the objects whose only owner has this uid."""
        with self.changed:
            return [
                (resource, self._shown(resource, found))
                for resource in resources
                for found in self._table(resource).values()
                if [o.get("uid") for o in found["metadata"].get("ownerReferences") or ()] == [uid]
            ]

    def compact(self) -> None:
        """Forget the history, as etcd does every five minutes."""
        with self.changed:
            self.compacted = self.version

    def check_version(self, version: int) -> None:
        """Refuse a version whose history is gone, or that is of the future."""
        with self.changed:
            if version < self.compacted:
                raise expired(version, self.compacted)
            if version > self.version:
                raise ApiError(
                    504,
                    "Timeout",
                    f"Too large resource version: {version}, current: {self.version}",
                )

    def since(self, resource: Resource, version: int) -> tuple[int, list[Change]]:
        """Return the newest version and what happened after *version*.

        An open watch outlives a compaction, as with the real server's watch cache.
        """
        with self.changed:
            return self.version, [
                change
                for change in self._history
                if change.version > version and change.storage == resource.storage
            ]

    def _table(self, resource: Resource) -> dict[Key, Object]:
        return self._objects.setdefault(resource.storage, {})

    def _shown(self, resource: Resource, found: Object) -> Object:
        return shown(resource, found)

    def _put(
        self, resource: Resource, key: Key, before: Object | None, after: Object | None
    ) -> None:
        self.version += 1
        if after is None:
            gone = copy.deepcopy(self._table(resource).pop(key))
            gone["metadata"]["resourceVersion"] = str(self.version)
            before = gone
        else:
            after["metadata"]["resourceVersion"] = str(self.version)
            self._table(resource)[key] = after
        self._history.append(
            Change(self.version, resource.storage, copy.deepcopy(before), copy.deepcopy(after))
        )
        self.changed.notify_all()


def shown(resource: Resource, found: Object) -> Object:
    """Return a copy as the resource's group and version name it."""
    return {
        **copy.deepcopy(found), "kind": resource.kind, "apiVersion": resource.api_version
    }  # fmt: skip


def _through_door(resource: Resource, before: Object, after: Object, *, status: bool) -> Object:
    """Let each of the two doors of an object change its half only."""
    after = copy.deepcopy(after)
    fixed = {k: before["metadata"][k] for k in ("uid", "creationTimestamp", "name")}
    after["metadata"] = {**(after.get("metadata") or {}), **fixed}
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
    if "deletionTimestamp" in before["metadata"]:
        after["metadata"]["deletionTimestamp"] = before["metadata"]["deletionTimestamp"]
    if "namespace" in before["metadata"]:
        after["metadata"]["namespace"] = before["metadata"]["namespace"]
    if not resource.status:
        return after
    kept = "spec" if status else "status"
    after.pop(kept, None)
    if kept in before:
        after[kept] = copy.deepcopy(before[kept])
    return after


def _same(before: Object, after: Object) -> bool:
    ignored = ("kind", "apiVersion")
    return {k: v for k, v in before.items() if k not in ignored} == {
        k: v for k, v in after.items() if k not in ignored
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
