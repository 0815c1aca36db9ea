"""What the API told us last, kept over a restart of the agent in a file on tmpfs.

Without it, an agent that is replaced while the API server is away would not know who it is
(invariant 8). It is a cache of the API, dropped at every boot with /run, overruled by the first
answer, and readable by root alone since it may hold passwords.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bgp.secret import Secret, SecretError
from router import whole_file
from router.kube.convert import parse_object
from router.kube.errors import MalformedError
from router.model.config_object import ConfigObject, unpacked
from router.model.node import SecretRef

_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """Objects as the API sent them, without what we never read."""

    node: Mapping[str, Any] | None = None
    config_map: Mapping[str, Any] | None = None
    secrets: Mapping[SecretRef, Secret] = field(default_factory=dict)
    objects: tuple[ConfigObject, ...] | None = None
    """None: it was not known whether there are any."""


def render(remembered: Remembered) -> bytes:
    """Return the file's content."""
    value = {
        "version": _VERSION,
        "node": _slim(remembered.node),
        "config_map": _slim(remembered.config_map),
        "secrets": [
            [ref.name, ref.key, secret.base64()]
            for ref, secret in sorted(remembered.secrets.items())
        ],
        "objects": None
        if remembered.objects is None
        else [each.packed() for each in remembered.objects],
    }
    return json.dumps(value, sort_keys=True).encode()


def parse(raw: bytes) -> Remembered:
    """Read the file's content; whatever is odd about it is as good as not there."""
    try:
        value = parse_object(raw)
    except MalformedError:
        return Remembered()
    if value.get("version") != _VERSION:
        return Remembered()
    secrets: dict[SecretRef, Secret] = {}
    listed = value.get("secrets")
    for item in listed if isinstance(listed, list) else ():
        with contextlib.suppress(TypeError, ValueError, binascii.Error, SecretError):
            name, key, secret = item
            secrets[SecretRef(name, key)] = Secret(base64.b64decode(secret, validate=True))
    return Remembered(
        node=_object(value.get("node")),
        config_map=_object(value.get("config_map")),
        secrets=secrets,
        objects=_config_objects(value.get("objects")),
    )


def _config_objects(listed: object) -> tuple[ConfigObject, ...] | None:
    if not isinstance(listed, list):
        return None
    found: list[ConfigObject] = []
    for item in listed:
        with contextlib.suppress(ValueError):
            found.append(unpacked(item))
    return tuple(found)


def _object(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _slim(raw: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Leave out the bulk: managed fields, image lists, heartbeats."""
    if raw is None:
        return None
    metadata, status = raw.get("metadata"), raw.get("status")
    slim = {key: value for key, value in raw.items() if key not in ("status", "binaryData")}
    if isinstance(metadata, dict):
        slim["metadata"] = {k: v for k, v in metadata.items() if k != "managedFields"}
    if isinstance(status, dict):
        slim["status"] = {k: status[k] for k in ("addresses",) if k in status}
    return slim


class MemoryFile:
    """The file on tmpfs. SHELL."""

    def __init__(self, path: Path | None) -> None:
        """None remembers nothing."""
        self._path = path
        self._written = b""

    def load(self) -> Remembered:
        """Return what is remembered, which may be nothing."""
        if self._path is None:
            return Remembered()
        try:
            return parse(self._path.read_bytes())
        except OSError:
            return Remembered()

    def save(self, remembered: Remembered) -> None:
        """Write atomically, if it differs from what was written. Raises OSError."""
        content = render(remembered)
        if self._path is None or content == self._written:
            return
        whole_file.write(self._path, content, mode=0o600)
        self._written = content
