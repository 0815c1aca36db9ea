"""What deploy/kustomize/base lets the agent ask of the API server."""

from __future__ import annotations

from pathlib import Path

from containerlab.fakeapi.request import Logged
from containerlab.runtime.kustomize import one, render

BASE = render(Path(__file__).resolve().parents[2] / "deploy/kustomize/base")
Right = tuple[str, str, str]
"""Group, resource (with its subresource) and verb."""


def rights(kind: str) -> frozenset[Right]:
    """Return those of our ClusterRole, or of our Role."""
    return frozenset(
        (group, resource, verb)
        for rule in one(BASE, kind, "podroute")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def right_for(entry: Logged) -> Right:
    """Return what a request needs, as the API server reads its path."""
    segments = entry.path.strip("/").split("/")
    group, rest = ("", segments[2:]) if segments[0] == "api" else (segments[1], segments[3:])
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    return group, "/".join((rest[0], *rest[2:3])), entry.verb
