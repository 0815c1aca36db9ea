"""What the fake API server answers, without HTTP."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from containerlab.fakeapi.patches import apply_patch
from containerlab.fakeapi.request import Asked
from containerlab.fakeapi.resources import BUILT_IN, ApiError, Resource, bad_request, invalid
from containerlab.fakeapi.selector import Match, field_match, label_match
from containerlab.fakeapi.store import Change, Object, Store, shown
from containerlab.fakeapi.structural import admit, check_definition, refuse

_POLL_S = 0.05
_STRATEGIC = "application/strategic-merge-patch+json"
_WATCH_S = 1800.0


Ended = tuple[int, bytes, bytes]
"""Exit status, standard output, standard error."""


@dataclass(slots=True)
class Service:
    """The API over one store."""

    store: Store = field(default_factory=Store)
    resources: list[Resource] = field(default_factory=lambda: list(BUILT_IN))
    bookmark_s: float = 60.0
    run: Callable[[str, str, Sequence[str]], Ended] | None = None
    """Stands in for the kubelet's exec: node, container and command to what came of it."""
    _pages: dict[str, tuple[int, list[Object]]] = field(default_factory=dict)

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> Ended:
        """Run a command in a container of a pod that is here. Raises ApiError."""
        pods = next(each for each in self.resources if each.kind == "Pod")
        found = self.store.read(pods, namespace, pod)
        names = [each["name"] for each in found["spec"].get("containers", ())]
        if container not in names:
            raise bad_request(f"container {container} is not valid for pod {pod}")
        if self.run is None:
            raise ApiError(500, "InternalError", "there is no kubelet")
        return self.run(found["spec"]["nodeName"], container, command)

    def compact(self) -> None:
        """Forget history and pages: old versions and continue tokens get 410."""
        self.store.compact()
        self._pages.clear()

    def answer(self, asked: Asked, body: Any, content_type: str) -> tuple[int, Object]:
        """Return status and object for anything but a watch."""
        if asked.verb == "list":
            return 200, self._list(asked)
        if asked.verb == "get":
            return 200, self.store.read(asked.resource, asked.namespace, asked.name)
        if asked.verb == "create":
            return 201, self._create(asked, body)
        if asked.verb == "update":
            return 200, self._write(asked, lambda _: _admitted(asked, _object(body)))
        if asked.verb == "patch":
            if asked.resource.schema and content_type.startswith(_STRATEGIC):
                raise ApiError(
                    415,
                    "UnsupportedMediaType",
                    f"strategic merge patches are not supported for {asked.resource.kind}",
                )
            kind = asked.resource.kind
            return 200, self._write(
                asked,
                lambda found: _admitted(
                    asked, apply_patch(content_type, found, body, kind), invalid
                ),
            )
        if asked.verb == "delete" and asked.name:
            conditions = (body or {}).get("preconditions") or {}
            key = (asked.namespace, asked.name)
            gone = self.store.delete(asked.resource, key, conditions)
            self._collect(gone)
            return 200, gone
        raise ApiError(405, "MethodNotAllowed", f"{asked.verb} is not supported here")

    def _create(self, asked: Asked, body: Any) -> Object:
        given = _admitted(asked, _object(body))
        if asked.resource.schema and asked.resource.status:
            given.pop("status", None)
        if asked.resource.plural == "customresourcedefinitions":
            check_definition(given)
        made = self.store.create(asked.resource, asked.namespace, given)
        if asked.resource.plural == "customresourcedefinitions":
            self.resources += _defined(made)
        return made

    def _collect(self, gone: Object) -> None:
        """Do what garbage collection does: delete what only the object owned; a CRD's objects."""
        if gone["metadata"].get("deletionTimestamp"):
            return
        for resource, found in self.store.owned(gone["metadata"]["uid"], self.resources):
            metadata = found["metadata"]
            key = (metadata.get("namespace", ""), metadata["name"])
            self._collect(self.store.delete(resource, key, {}))
        if gone["kind"] == "CustomResourceDefinition":
            for resource in _defined(gone):
                for found in self.store.listed(resource, "")[1]:
                    metadata = found["metadata"]
                    key = (metadata.get("namespace", ""), metadata["name"])
                    self.store.delete(resource, key, {})
                self.resources.remove(resource)

    def _write(self, asked: Asked, make: Callable[[Object], Object]) -> Object:
        key = (asked.namespace, asked.name)
        return self.store.write(asked.resource, key, make, status=asked.status)

    def _match(self, asked: Asked) -> Match:
        fields = field_match(asked.query.get("fieldSelector", ""), asked.resource)
        labels = label_match(asked.query.get("labelSelector", ""))
        return lambda found: (
            (not asked.namespace or found["metadata"].get("namespace") == asked.namespace)
            and fields(found)
            and labels(found)
        )

    def _list(self, asked: Asked) -> Object:
        limit = int(asked.query.get("limit") or 0)
        token = asked.query.get("continue", "")
        if token:
            try:
                version, items = self._pages.pop(token)
            except KeyError:
                raise ApiError(
                    410, "Expired", "The provided continue parameter is too old"
                ) from None
        else:
            given = asked.query.get("resourceVersion", "")
            if given not in ("", "0") and int(given) > self.store.version:
                self.store.check_version(int(given))
            version, found = self.store.listed(asked.resource, asked.namespace)
            match = self._match(asked)
            items = [item for item in found if match(item)]
        metadata: Object = {"resourceVersion": str(version)}
        if limit and len(items) > limit:
            rest = items[limit:]
            token = base64.urlsafe_b64encode(
                json.dumps({"v": version, "id": uuid.uuid4().hex}).encode()
            ).decode()
            self._pages[token] = (version, rest)
            metadata |= {"continue": token, "remainingItemCount": len(rest)}
            items = items[:limit]
        return {
            "kind": f"{asked.resource.kind}List",
            "apiVersion": asked.resource.api_version,
            "metadata": metadata,
            "items": items,
        }

    def watch(self, asked: Asked) -> Iterator[Object | None]:
        """Yield events as they happen; None now and then, so that the caller can look around."""
        match = self._match(asked)
        query = asked.query
        given = query.get("resourceVersion", "")
        if not given.isdigit() and given:
            raise bad_request(f"invalid resource version {given!r}")
        end = time.monotonic() + float(query.get("timeoutSeconds") or _WATCH_S)
        if given in ("", "0"):
            version, found = self.store.listed(asked.resource, asked.namespace)
            yield from (_event("ADDED", item) for item in found if match(item))
        else:
            version = int(given)
            try:
                self.store.check_version(version)
            except ApiError as error:
                if error.code != 410:
                    raise
                # Past authentication, an old version is told inside the watch (watch cache).
                yield _event("ERROR", error.status())
                return
        bookmarks = query.get("allowWatchBookmarks") in ("1", "true")
        yield from self._follow(asked, match, version, end, bookmarks=bookmarks)

    def _follow(
        self, asked: Asked, match: Match, version: int, end: float, *, bookmarks: bool
    ) -> Iterator[Object | None]:
        marked_at = time.monotonic()
        while (now := time.monotonic()) < end:
            version, changes = self.store.since(asked.resource, version)
            for change in changes:
                event = _seen(asked.resource, change, match)
                if event is not None:
                    yield event
            if bookmarks and now - marked_at >= self.bookmark_s:
                marked_at = now
                yield self._bookmark(asked.resource, version)
            yield None
            with self.store.changed:
                if self.store.version == version:
                    self.store.changed.wait(_POLL_S)
        if bookmarks:
            yield self._bookmark(asked.resource, version)

    def _bookmark(self, resource: Resource, version: int) -> Object:
        bare = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(version), "creationTimestamp": None},
        }
        return _event("BOOKMARK", bare)


def _seen(resource: Resource, change: Change, match: Match) -> Object | None:
    """Return the event of a change as a watcher with this selector sees it."""
    was = change.before is not None and match(change.before)
    now = change.after is not None and match(change.after)
    if now and change.after is not None:
        return _event("MODIFIED" if was else "ADDED", shown(resource, change.after))
    if was and change.before is not None:
        gone = shown(resource, change.after or change.before)
        gone["metadata"]["resourceVersion"] = str(change.version)
        return _event("DELETED", gone)
    return None


def _event(kind: str, found: Object) -> Object:
    return {"type": kind, "object": found}


def _admitted(
    asked: Asked, given: Object, refusal: Callable[[str], ApiError] = bad_request
) -> Object:
    """Return what a custom resource is stored as. Raises ApiError.

    `refusal` is of unknown fields, where the client wants to be told of them.
    """
    schema = asked.resource.schema
    if schema is None:
        return given
    strict = asked.query.get("fieldValidation") == "Strict"
    kept = admit(schema, given, strict=strict, refusal=refusal)
    refuse(schema, kept, asked.resource.kind)
    return kept


def _object(body: Any) -> Object:
    if not isinstance(body, dict):
        raise bad_request("the body is not an object")
    return body


def _defined(crd: Object) -> list[Resource]:
    spec = crd["spec"]
    return [
        Resource(
            group=spec["group"],
            version=version["name"],
            plural=spec["names"]["plural"],
            kind=spec["names"]["kind"],
            namespaced=spec["scope"] == "Namespaced",
            status="status" in (version.get("subresources") or {}),
            schema=(version.get("schema") or {}).get("openAPIV3Schema"),
        )
        for version in spec["versions"]
        if version.get("served", True)
    ]
