"""Small words for structural schemas (OpenAPI v3, as a CustomResourceDefinition has them). PURE.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from router.model.config_object import GROUP, VERSION

Schema = dict[str, Any]


def rule(expression: str, message: str) -> Schema:
    """Return a CEL rule; `self` is the value that it stands at."""
    return {"rule": expression, "message": message}


def mapping(
    properties: Mapping[str, Schema],
    text: str = "",
    *,
    required: Sequence[str] = (),
    rules: Sequence[Schema] = (),
) -> Schema:
    """Return a mapping with these keys and no others."""
    found: Schema = {"type": "object", "properties": dict(properties)}
    if text:
        found["description"] = text
    if required:
        found["required"] = list(required)
    if rules:
        found["x-kubernetes-validations"] = list(rules)
    return found


def texts(text: str = "", *, most: int = 16, longest: int = 253) -> Schema:
    """Return a mapping whose keys the operator chooses."""
    values: Schema = {"type": "string", "maxLength": longest}
    found: Schema = {"type": "object", "maxProperties": most, "additionalProperties": values}
    return found | ({"description": text} if text else {})


def listed(items: Schema, text: str = "", *, most: int, key: str = "") -> Schema:
    """Return a list; with `key` its items are told apart by that field."""
    found: Schema = {"type": "array", "maxItems": most, "items": items}
    if key:
        found |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    else:
        found["x-kubernetes-list-type"] = "atomic"
    return found | ({"description": text} if text else {})


def string(
    text: str = "", *, longest: int = 253, shortest: int = 0, pattern: str = "", **more: Any
) -> Schema:
    """Return a text; lengths in characters."""
    found: Schema = {"type": "string", "maxLength": longest, **more}
    if shortest:
        found["minLength"] = shortest
    if pattern:
        found["pattern"] = pattern
    return found | ({"description": text} if text else {})


def words(text: str, *allowed: str) -> Schema:
    """Return one of a few words."""
    return {"type": "string", "enum": [str(each) for each in allowed], "description": text}


def number(text: str = "", *, low: int = 0, high: int | None = None) -> Schema:
    """Return a whole number, both bounds included."""
    # Beyond 2**31 the format must say so: clients in Go would choose a smaller type.
    found: Schema = {"type": "integer", "format": "int64", "minimum": low}
    if high is not None:
        found["maximum"] = high
    return found | ({"description": text} if text else {})


def boolean(text: str = "") -> Schema:
    """Return true or false."""
    return {"type": "boolean"} | ({"description": text} if text else {})


def number_or_text(text: str, *, pattern: str = "") -> Schema:
    """Return a whole number, or a text of that pattern."""
    found: Schema = {"x-kubernetes-int-or-string": True, "description": text}
    if pattern:
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
        found["pattern"] = pattern
    return found


def column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """Return a column of `kubectl get`; `wide` ones are shown by `-o wide` only."""
    found: Schema = {"name": name, "type": kind, "jsonPath": path}
    return found | ({"priority": 1} if wide else {})


def definition(  # noqa: PLR0913 - what a definition has, by name
    kind: str,
    plural: str,
    properties: Mapping[str, Schema],
    columns: Sequence[Schema],
    *,
    text: str,
    has_status: bool = False,
    required: Sequence[str] = (),
    rules: Sequence[Schema] = (),
) -> Schema:
    """Return the CustomResourceDefinition of a kind of ours; all are cluster-scoped."""
    schema = mapping(
        {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **properties,
        },
        text,
        required=required,
        rules=rules,
    )
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [
            *columns,
            column("Age", ".metadata.creationTimestamp", "date"),
        ],
    }
    if has_status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "categories": ["podroute"],
            },
            "versions": [version],
        },
    }
