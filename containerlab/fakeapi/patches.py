"""The three patch formats the agent's kind of client uses, as the API server applies them."""

from __future__ import annotations

import copy
from typing import Any

from containerlab.fakeapi.resources import ApiError, bad_request, invalid

# Only lists with a merge key in the API's types are merged; every other list is atomic,
# spec.taints of a Node among them (k8s.io/api/core/v1/types.go: no patchStrategy).
MERGE_KEYS = {
    ("Node", "status.conditions"): "type",
    ("Node", "status.addresses"): "type",
    ("Pod", "status.conditions"): "type",
    ("Pod", "spec.containers"): "name",
    ("Service", "spec.ports"): "port",
    ("Service", "status.conditions"): "type",
}
SETS = frozenset({("Node", "spec.podCIDRs"), ("*", "metadata.finalizers")})


def apply_patch(content_type: str, found: dict[str, Any], patch: Any, kind: str) -> dict[str, Any]:
    """Return the object with the patch applied; *found* is left as it is."""
    base = content_type.partition(";")[0].strip()
    target = copy.deepcopy(found)
    if base == "application/json-patch+json":
        if not isinstance(patch, list):
            raise bad_request("a JSON patch is a list of operations")
        patched: dict[str, Any] = json_patch(target, patch)
        return patched
    if not isinstance(patch, dict):
        raise bad_request("a merge patch is an object")
    if base == "application/merge-patch+json":
        merged: dict[str, Any] = merge_patch(target, patch)
        return merged
    if base == "application/strategic-merge-patch+json":
        return strategic_patch(target, patch, kind)
    raise ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format: {base}",
    )


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def strategic_patch(
    target: dict[str, Any], patch: dict[str, Any], kind: str, path: str = ""
) -> dict[str, Any]:
    """Merge maps by key, and lists that have a merge key by it."""
    for key, value in patch.items():
        where = f"{path}.{key}" if path else key
        if key == "$patch":
            raise bad_request(f"$patch is not supported at {path or 'the top'}")
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            below = target.get(key)
            target[key] = strategic_patch(
                below if isinstance(below, dict) else {}, value, kind, where
            )
        elif isinstance(value, list) and (kind, where) in MERGE_KEYS:
            target[key] = _merge_list(
                target.get(key) or [], value, MERGE_KEYS[kind, where], kind, where
            )
        elif isinstance(value, list) and ({(kind, where), ("*", where)} & SETS):
            before = list(target.get(key) or [])
            target[key] = before + [item for item in value if item not in before]
        else:
            target[key] = value
    return target


def _merge_list(
    before: list[Any], patch: list[Any], merge_key: str, kind: str, where: str
) -> list[Any]:
    result = list(before)
    for item in patch:
        if not isinstance(item, dict) or merge_key not in item:
            raise bad_request(f"map does not contain key: {merge_key} at {where}")
        same = [i for i, old in enumerate(result) if old.get(merge_key) == item[merge_key]]
        if item.get("$patch") == "delete":
            result = [old for i, old in enumerate(result) if i not in same]
        elif same:
            result[same[0]] = strategic_patch(result[same[0]], item, kind, f"{where}[]")
        else:
            result.append(item)
    return result


def json_patch(target: Any, operations: list[Any]) -> Any:
    """RFC 6902: test, add, remove, replace."""
    for operation in operations:
        try:
            name, path = operation["op"], operation["path"]
        except (KeyError, TypeError) as error:
            raise bad_request("a JSON patch operation needs op and path") from error
        parts = [p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]
        if not parts:
            raise bad_request("the whole document cannot be patched")
        try:
            _one(target, name, parts, operation.get("value"))
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise invalid(f"the server rejected our request due to an error: {path}") from error
    return target


def _one(target: Any, name: str, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        target = target[int(part)] if isinstance(target, list) else target[part]
    last = parts[-1]
    if name == "test":
        found = target[int(last)] if isinstance(target, list) else target.get(last)
        if found != value:
            raise ValueError(f"test failed at {last}")
    elif name == "remove":
        del target[int(last) if isinstance(target, list) else last]
    elif name not in ("add", "replace"):
        raise bad_request(f"unsupported operation {name!r}")
    elif isinstance(target, list) and name == "add":
        target.insert(len(target) if last == "-" else _index(last, len(target) + 1), value)
    elif isinstance(target, list):
        target[_index(last, len(target))] = value
    elif name == "replace" and last not in target:
        raise KeyError(last)
    else:
        target[last] = value


def _index(text: str, bound: int) -> int:
    index = int(text)
    if not 0 <= index < bound:
        raise IndexError(text)
    return index
