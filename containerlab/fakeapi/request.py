"""From a request line to what is asked, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from containerlab.fakeapi.resources import ApiError, Resource

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a client wants."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    status: bool
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One line of the request log."""

    at: float
    """Monotonic seconds."""
    verb: str
    path: str
    query: str
    user_agent: str
    user: str
    code: int = 0
    """HTTP status; 0 while it is not answered."""


def verb_of(method: str, target: str) -> str:
    """Return the API's verb of a request, also for a path that is not there."""
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query))
    if method != "GET":
        return _VERBS.get(method, method.lower())
    if query.get("watch") in ("1", "true"):
        return "watch"
    segments = parts.path.strip("/").split("/")
    rest = segments[2:] if segments[0] == "api" else segments[3:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return "get" if len(rest) > 1 else "list"


def parse_request(method: str, target: str, resources: list[Resource]) -> Asked:
    """Return what is asked; 404 for an unknown path."""
    parts = urlsplit(target)
    segments = [unquote(part) for part in parts.path.strip("/").split("/")]
    if segments[0] == "api" and len(segments) > 2:
        group, version, rest = "", segments[1], segments[2:]
    elif segments[0] == "apis" and len(segments) > 3:
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        raise _nowhere()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] != "status":
        namespace, rest = rest[1], rest[2:]
    for resource in resources:
        if (resource.group, resource.version, resource.plural) != (group, version, rest[0]):
            continue
        below = rest[2] if len(rest) > 2 else ""
        if below not in ("", "status") or (below and not resource.status) or len(rest) > 3:
            break
        if resource.namespaced and not namespace and len(rest) > 1:
            break
        return Asked(
            verb=verb_of(method, target),
            resource=resource,
            namespace=namespace if resource.namespaced else "",
            name=rest[1] if len(rest) > 1 else "",
            status=below == "status",
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
        )
    raise _nowhere()


def _nowhere() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")
