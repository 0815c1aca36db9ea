"""Which resources the fake API server has, and the errors it answers with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One (group, version, plural) of the API."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    status: bool = False
    """Whether it has the status subresource: then each of the two doors writes its half only."""
    fields: frozenset[str] = frozenset()
    """Field selectors beyond metadata.name and metadata.namespace."""
    schema: dict[str, Any] | None = field(default=None, hash=False, compare=False)
    """Structural schema of a custom resource."""

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage(self) -> tuple[str, str]:
        """Events of both groups are the same objects."""
        return ("", "events") if self.plural == "events" else (self.group, self.plural)


def _core(plural: str, kind: str, **rest: Any) -> Resource:
    return Resource(group="", version="v1", plural=plural, kind=kind, **rest)


BUILT_IN = (
    _core("nodes", "Node", namespaced=False, status=True, fields=frozenset({"spec.unschedulable"})),
    _core("namespaces", "Namespace", namespaced=False, status=True),
    _core("configmaps", "ConfigMap", namespaced=True),
    _core("secrets", "Secret", namespaced=True, fields=frozenset({"type"})),
    _core(
        "pods",
        "Pod",
        namespaced=True,
        status=True,
        fields=frozenset({"spec.nodeName", "status.phase", "spec.schedulerName"}),
    ),
    _core("services", "Service", namespaced=True, status=True),
    _core(
        "events",
        "Event",
        namespaced=True,
        fields=frozenset({"involvedObject.name", "involvedObject.uid", "reason", "type"}),
    ),
    _core("serviceaccounts", "ServiceAccount", namespaced=True),
    Resource(
        group="events.k8s.io", version="v1", plural="events", kind="Event", namespaced=True,
        fields=frozenset({"regarding.name", "regarding.uid", "reason", "type"}),
    ),
    Resource(
        group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice",
        namespaced=True,
    ),
    Resource(
        group="apps", version="v1", plural="daemonsets", kind="DaemonSet", namespaced=True,
        status=True,
    ),
    Resource(
        group="coordination.k8s.io", version="v1", plural="leases", kind="Lease", namespaced=True
    ),
    Resource(
        group="apiextensions.k8s.io", version="v1", plural="customresourcedefinitions",
        kind="CustomResourceDefinition", namespaced=False, status=True,
    ),
)  # fmt: skip


class ApiError(Exception):
    """An answer with an error status."""

    def __init__(
        self, code: int, reason: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message
        self.headers = headers or {}

    def status(self) -> dict[str, Any]:
        """Return the Status object of the answer."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


def not_found(plural: str, name: str) -> ApiError:
    """Return a 404."""
    return ApiError(404, "NotFound", f'{plural} "{name}" not found')


def conflict(plural: str, name: str) -> ApiError:
    """Return the 409 of a stale version."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {plural} "{name}": the object has been modified;'
        " please apply your changes to the latest version and try again",
    )


def invalid(message: str) -> ApiError:
    """Return a 422."""
    return ApiError(422, "Invalid", message)


def bad_request(message: str) -> ApiError:
    """Return a 400."""
    return ApiError(400, "BadRequest", message)


def expired(version: int, oldest: int) -> ApiError:
    """Return the 410 of a version that was forgotten."""
    return ApiError(410, "Expired", f"too old resource version: {version} ({oldest})")
