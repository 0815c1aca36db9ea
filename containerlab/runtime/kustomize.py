"""As much of kustomize as deploy/ uses, so that what is tested is what is shipped.

A field this does not know is an error: nothing of a manifest may be passed over in silence.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

Object = dict[str, Any]

_KNOWN: Final = frozenset({"apiVersion", "kind", "resources", "images", "labels", "patches"})


class KustomizeError(ValueError):
    """The folder asks for something that is not implemented here, or is wrong."""


def render(folder: Path) -> list[Object]:
    """Return the objects of a folder with a kustomization.yaml. Raises KustomizeError."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    unknown = kustomization.keys() - _KNOWN
    if unknown:
        raise KustomizeError(f"{folder}: not implemented: {', '.join(sorted(unknown))}")
    objects = [found for name in kustomization["resources"] for found in _resource(folder / name)]
    for each in objects:
        for entry in kustomization.get("labels", ()):
            each["metadata"].setdefault("labels", {}).update(entry["pairs"])
        for image in kustomization.get("images", ()):
            _name_images(each, image)
    for patch in kustomization.get("patches", ()):
        _patch(objects, patch)
    return objects


def one(objects: list[Object], kind: str, name: str) -> Object:
    """Return the object of a kind and name. Raises KustomizeError."""
    for each in objects:
        if (each["kind"], each["metadata"]["name"]) == (kind, name):
            return each
    raise KustomizeError(f"there is no {kind} {name}")


def containers(pod: Mapping[str, Any]) -> Iterator[Object]:
    """Return all containers of a pod spec."""
    yield from pod.get("initContainers", ())
    yield from pod.get("containers", ())


def _resource(path: Path) -> list[Object]:
    if path.is_dir():
        return render(path)
    return [found for found in yaml.safe_load_all(path.read_text()) if found]


def _name_images(found: Object, image: Mapping[str, str]) -> None:
    template = (
        found.get("spec", {}).get("template", {}) if isinstance(found.get("spec"), dict) else {}
    )
    for container in containers(template.get("spec", {})):
        if container["image"].partition(":")[0] == image["name"]:
            name = image.get("newName", image["name"])
            container["image"] = f"{name}:{image['newTag']}"


def _patch(objects: list[Object], patch: Mapping[str, Any]) -> None:
    if patch.keys() != {"target", "patch"}:
        raise KustomizeError(f"not implemented: a patch with {', '.join(sorted(patch))}")
    target = one(objects, patch["target"]["kind"], patch["target"]["name"])
    for operation in yaml.safe_load(patch["patch"]):
        apply_json_patch(target, operation)


def apply_json_patch(target: Object, operation: Mapping[str, Any]) -> None:
    """Apply one operation of RFC 6902 (add, replace, remove). Raises KustomizeError."""
    *way, last = (
        word.replace("~1", "/").replace("~0", "~") for word in operation["path"].split("/")[1:]
    )
    place: Any = target
    try:
        for word in way:
            place = place[int(word)] if isinstance(place, list) else place[word]
        key: Any = last
        if isinstance(place, list):
            key = len(place) if last == "-" else int(last)
        kind = operation["op"]
        if kind in ("replace", "remove"):
            place[key]  # it must be there
        if kind == "remove":
            del place[key]
        elif kind == "add" and isinstance(place, list):
            place.insert(key, copy.deepcopy(operation["value"]))
        elif kind in ("add", "replace"):
            place[key] = copy.deepcopy(operation["value"])
        else:
            raise KustomizeError(f"not implemented: {kind}")
    except (KeyError, IndexError, ValueError) as error:
        raise KustomizeError(f"{operation['path']} is not there: {error!r}") from None
