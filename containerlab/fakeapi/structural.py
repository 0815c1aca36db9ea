"""Structural schemas of CustomResourceDefinitions: what the API server prunes and refuses.

Unknown fields are dropped (or refused, where the client asks for strict validation); the rest is
OpenAPI v3. CEL rules are not run here.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from containerlab.fakeapi.resources import ApiError, bad_request, invalid

Schema = dict[str, Any]
_OPEN = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_KNOWN = frozenset(
    {
        "type", "format", "description", "properties", "required", "additionalProperties", "items",
        "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
        "minProperties", "maxProperties", "default", "anyOf", "nullable", _OPEN, _INT_OR_STRING,
        "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-validations",
    }
)  # fmt: skip


def check_definition(crd: dict[str, Any]) -> None:
    """Raise 422 for a definition that the API server would not take."""
    spec = crd["spec"]
    name = f"{spec['names']['plural']}.{spec['group']}"
    if crd["metadata"]["name"] != name:
        raise invalid(f"metadata.name: must be {name}")
    for version in spec["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not schema:
            raise invalid("spec.versions[0].schema.openAPIV3Schema: Required value")
        faults = list(_faults_of_schema(schema, "openAPIV3Schema"))
        if faults:
            raise invalid(f"CustomResourceDefinition {name} is invalid: {'; '.join(faults)}")


def _faults_of_schema(schema: Schema, path: str) -> Iterator[str]:
    """Name what makes a schema unstructural."""
    unknown = schema.keys() - _KNOWN
    if unknown:
        yield f"{path}: unknown field {', '.join(sorted(unknown))}"
    kind = schema.get("type")
    if kind not in _TYPES and not (schema.get(_INT_OR_STRING) or schema.get(_OPEN)):
        yield f"{path}.type: Required value: must not be empty for specified object fields"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{path}: additionalProperties and properties are mutual exclusive"
    if kind == "array":
        yield from _faults_of_list_schema(schema, path)
    for name, below in (schema.get("properties") or {}).items():
        yield from _faults_of_schema(below, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from _faults_of_schema(schema[name], f"{path}.{name}")


def _faults_of_list_schema(schema: Schema, path: str) -> Iterator[str]:
    if "items" not in schema:
        yield f"{path}.items: Required value: must be specified"
        return
    items = schema["items"]
    for key in schema.get("x-kubernetes-list-map-keys", ()):
        known = items.get("properties") or {}
        if key not in known:
            yield f"{path}.x-kubernetes-list-map-keys: {key} is not defined in items"
        elif key not in items.get("required", ()) and "default" not in known[key]:
            yield f"{path}.items.properties[{key}].default: Required value: is a list map key"


def admit(
    schema: Schema,
    found: dict[str, Any],
    *,
    strict: bool,
    refusal: Callable[[str], ApiError] = bad_request,
) -> dict[str, Any]:
    """Return the object as stored: pruned, with defaults. Raises `refusal` for strict ones."""
    dropped: list[str] = []
    kept: dict[str, Any] = _pruned(schema, copy.deepcopy(found), "", dropped)
    kept["metadata"] = found.get("metadata")
    if strict and dropped:
        fields = ", ".join(f'unknown field "{field}"' for field in dropped)
        raise refusal(f"strict decoding error: {fields}")
    return kept


def _pruned(schema: Schema, value: Any, path: str, dropped: list[str]) -> Any:
    if isinstance(value, list):
        items = schema.get("items") or {}
        return [_pruned(items, item, f"{path}[{i}]", dropped) for i, item in enumerate(value)]
    if not isinstance(value, dict) or schema.get(_OPEN):
        return value
    more = schema.get("additionalProperties")
    properties = schema.get("properties") or {}
    kept: dict[str, Any] = {}
    for key, item in value.items():
        where = f"{path}.{key}" if path else key
        below = properties.get(key, more)
        if where in ("apiVersion", "kind", "metadata"):
            kept[key] = item
        elif below is None:
            dropped.append(where)
        elif item is None and not below.get("nullable"):
            continue  # pruned like an unknown field, before defaults
        else:
            kept[key] = _pruned(below if isinstance(below, dict) else {}, item, where, dropped)
    for key, below in properties.items():
        if key not in kept and "default" in below:
            kept[key] = copy.deepcopy(below["default"])
    return kept


def refuse(schema: Schema, found: dict[str, Any], kind: str) -> None:
    """Raise 422 naming every field that the schema does not allow."""
    faults = list(_faults(schema, found, ""))
    if faults:
        name = found["metadata"].get("name", "")
        raise ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {_listed(faults)}')


def _listed(faults: list[str]) -> str:
    return faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"


def _faults(schema: Schema, value: Any, path: str) -> Iterator[str]:
    wrong = _wrong_type(schema, value)
    if wrong:
        yield f"{path}: Invalid value: {wrong}"
        return
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(f'"{each}"' for each in schema["enum"])
        yield f'{path}: Unsupported value: "{value}": supported values: {supported}'
    if isinstance(value, str):
        yield from _faults_of_text(schema, value, path)
    elif isinstance(value, dict):
        yield from _faults_of_mapping(schema, value, path)
    elif isinstance(value, list):
        yield from _faults_of_list(schema, value, path)
    elif isinstance(value, int | float):
        yield from _faults_of_number(schema, value, path)


def _wrong_type(schema: Schema, value: Any) -> str:
    if schema.get(_INT_OR_STRING):
        is_fine = isinstance(value, int | str) and not isinstance(value, bool)
        return "" if is_fine else "must be of type integer or string"
    kind = schema.get("type", "")
    is_number_as_bool = isinstance(value, bool) and kind in ("integer", "number")
    if kind and (not isinstance(value, _TYPES[kind]) or is_number_as_bool):
        return f'"{type(value).__name__}": must be of type {kind}'
    return ""


def _faults_of_number(schema: Schema, value: float, path: str) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"{path}: Invalid value: {value}: should be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"{path}: Invalid value: {value}: should be at most {schema['maximum']}"


def _faults_of_text(schema: Schema, value: str, path: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{path}: Too long or too short: {len(value)} characters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f'{path}: Invalid value: "{value}": should match {schema["pattern"]}'
    if schema.get("format") == "date-time":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            yield f'{path}: Invalid value: "{value}": must be of type date-time'


def _faults_of_mapping(schema: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    dot = f"{path}." if path else ""
    for key in schema.get("required", ()):
        if key not in value:
            yield f"{dot}{key}: Required value"
    if not schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value)):
        yield f"{path}: Invalid value: {len(value)} properties"
    more = schema.get("additionalProperties")
    for key, item in value.items():
        below = (schema.get("properties") or {}).get(key, more)
        if isinstance(below, dict) and f"{dot}{key}" != "metadata":
            yield from _faults(below, item, f"{dot}{key}")


def _faults_of_list(schema: Schema, value: list[Any], path: str) -> Iterator[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        yield f"{path}: Invalid value: {len(value)} items"
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") == "set":
        marks = [str(item) for item in value]
    elif keys:
        marks = [str([item.get(key) for key in keys]) for item in value if isinstance(item, dict)]
    else:
        marks = []
    if len(set(marks)) != len(marks):
        yield f"{path}: Duplicate value"
    for index, item in enumerate(value):
        yield from _faults(schema.get("items") or {}, item, f"{path}[{index}]")
