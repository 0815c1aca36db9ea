"""The fake API server without sockets, for virtual time: its service, behind the agent's `Api`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from containerlab.fakeapi.request import parse_request
from containerlab.fakeapi.resources import ApiError
from containerlab.fakeapi.service import Service
from router.config.crd import definitions
from router.kube.client import Call
from router.kube.errors import KubeError, RefusedError
from router.kube.status_object import STATUSES

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(slots=True)
class MemoryApi:
    """The fake API's service without HTTP; every request is noted with its time."""

    service: Service = field(default_factory=Service)
    fault: KubeError | None = None
    asked: list[tuple[float, str, str]] = field(default_factory=list)

    async def request(self, call: Call, timeout_s: float) -> dict[str, Any]:
        self.asked.append((asyncio.get_running_loop().time(), call.method, call.path))
        if self.fault is not None:
            raise self.fault
        try:
            path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
            asked = parse_request(call.method, path, self.service.resources)
            return self.service.answer(asked, call.body, call.content_type)[1]
        except ApiError as error:
            raise RefusedError(error.code, error.reason, error.message, None) from error

    def stream(self, call: Call, timeout_s: float) -> Any:
        raise NotImplementedError

    def writes(self) -> list[float]:
        return [at for at, method, _ in self.asked if method != "GET"]

    def found(self) -> dict[str, Any]:
        asked = parse_request("GET", f"{STATUSES}/node1", self.service.resources)
        return self.service.answer(asked, None, "")[1]


def install(api: MemoryApi) -> None:
    """Make our resources known."""
    for crd in definitions():
        asked = parse_request("POST", CRDS, api.service.resources)
        api.service.answer(asked, crd, "")


def installed(api: MemoryApi | None = None) -> MemoryApi:
    """Return one that knows our resources."""
    made = api or MemoryApi()
    install(made)
    return made
