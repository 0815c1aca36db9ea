"""The configuration reference, made from the schema of our objects. PURE.

`python -m router.config.reference > docs/configuration.md`

The schema is compared with the reader of the file by a test of its own, so that this page cannot
say what the reader does not take.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from router.config.crd import definitions
from router.config.openapi import Schema
from router.model.config_object import GROUP_VERSION

_HEAD: Final = f"""\
# Configuration reference

Made by `python -m router.config.reference` from the schema of the objects
(`{GROUP_VERSION}`); a test keeps it current. Every field has the same name and meaning in
`/etc/podroute/config.yaml`: what PodNetwork has under `spec` stands at the top of the file,
BGPPeers are items of `peers` (there with `name`, and `password_file` besides), BGPAdvertisements
items of `advertisements`. What a field means in full, defaults, and what only the file has (`node`,
`pod_cidrs`, `node_addresses`, `router_id`) stands in
[operations.md](operations.md#configuration-of-the-route-agent).

`podroute router --config FILE --check` says whether a file is valid.
"""


def render() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *(_object(each) for each in definitions())])


def _object(crd: Schema) -> str:
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    part = "spec" if "spec" in schema["properties"] else "status"
    lines = [f"## {crd['spec']['names']['kind']}", ""]
    if text := schema.get("description"):
        lines += [text, ""]
    lines += [f"| field of `{part}` | type | |", "| --- | --- | --- |"]
    lines += list(_rows(schema["properties"][part], ""))
    rules = [f"* {rule['message']}" for rule in _rules(schema["properties"][part])]
    if rules:
        lines += ["", "Rules:", "", *dict.fromkeys(rules)]
    return "\n".join([*lines, ""])


def _rows(schema: Schema, above: str) -> Iterator[str]:
    """Give a row for each field, those of sections below theirs."""
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{above}{name}"
        text = field.get("description", "")
        if name in needed:
            text = f"Required. {text}".rstrip()
        yield f"| `{path}` | {_type(field)} | {_escaped(text)} |"
        yield from _below(field, path)


def _below(field: Schema, path: str) -> Iterator[str]:
    if field.get("type") == "array":
        yield from _rows(field["items"], f"{path}[].")
    elif isinstance(field.get("additionalProperties"), dict):
        values = field["additionalProperties"]
        items = values["items"] if values.get("type") == "array" else values
        yield from _rows(items, f"{path}.NAME[]." if items is not values else f"{path}.NAME.")
    else:
        yield from _rows(field, f"{path}.")


def _type(field: Schema) -> str:
    if "enum" in field:
        return _escaped(" or ".join(f"`{each}`" for each in field["enum"]))
    if field.get("x-kubernetes-int-or-string"):
        return f"number{_bounds(field)} or text"
    kind = field.get("type", "")
    if kind == "array":
        return f"list of {_plural(_type(field['items']))}, at most {field['maxItems']}"
    if kind == "object":
        return "names and values" if "additionalProperties" in field else "section"
    if kind == "integer":
        return f"number{_bounds(field)}"
    if kind == "string":
        return "time" if field.get("format") == "date-time" else "text"
    return "true or false" if kind == "boolean" else str(kind)


def _plural(kind: str) -> str:
    return f"{kind}s" if kind in ("section", "text") else kind


def _bounds(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if high is not None:
        return f", {low} to {high}" if low is not None else f", at most {high}"
    return f", at least {low}" if low else ""


def _rules(schema: Schema) -> Iterator[Schema]:
    yield from schema.get("x-kubernetes-validations", ())
    for field in schema.get("properties", {}).values():
        yield from _rules(field)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _rules(schema[key])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(render())
