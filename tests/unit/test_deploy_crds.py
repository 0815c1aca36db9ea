"""deploy/kustomize/base/crds.yaml: what router/config says, and what an API server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from containerlab.fakeapi.resources import ApiError
from containerlab.fakeapi.structural import check_definition
from router.config.crd import definitions, render

FILE = Path(__file__).resolve().parents[2] / "deploy/kustomize/base/crds.yaml"


def test_the_manifest_is_what_the_schema_makes() -> None:
    assert FILE.read_text() == render(), "python -m router.config.crd > deploy/..."
    assert list(yaml.safe_load_all(render())) == definitions()


@pytest.mark.parametrize("crd", definitions(), ids=lambda crd: crd["spec"]["names"]["kind"])
def test_it_is_structural_and_bounded(crd: dict[str, Any]) -> None:
    check_definition(crd)
    (version,) = crd["spec"]["versions"]
    unbounded = list(_unbounded(version["schema"]["openAPIV3Schema"], ""))
    assert not unbounded, "CEL needs bounds to know its cost, and so does etcd"


def _unbounded(schema: dict[str, Any], path: str) -> list[str]:
    if path in (".apiVersion", ".kind", ".metadata"):
        return []
    found = []
    kind = schema.get("type")
    if kind == "array" and "maxItems" not in schema:
        found.append(path)
    is_closed = {"maxLength", "enum", "format"} & schema.keys()
    if kind == "string" and not is_closed:
        found.append(path)
    if "additionalProperties" in schema and "maxProperties" not in schema:
        found.append(path)
    for name, below in (schema.get("properties") or {}).items():
        found += _unbounded(below, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            found += _unbounded(schema[name], f"{path}[]")
    return found


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object", "properties": {"a": {}}}, "a].type: Required value"),
        ({"type": "object", "properties": {"a": {"$ref": "b"}}}, "unknown field $ref"),
        ({"type": "array"}, "items: Required value"),
    ],
)
def test_a_schema_that_is_not_structural_is_refused(schema: dict[str, Any], fault: str) -> None:
    crd = definitions()[0]
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    with pytest.raises(ApiError, match="is invalid") as caught:
        check_definition(crd)
    assert fault in caught.value.message
