"""A client of the container runtime interface, the part of kubelet that starts pods.

Field numbers: k8s.io/cri-api, pkg/apis/runtime/v1/api.proto; only the fields used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from containerlab.runtime.protobuf import Field, Message, Scalar, decode, encode

INTEGER: Final = Scalar.INTEGER
POD, CONTAINER, NODE = 0, 1, 2
"""NamespaceMode."""
RUNNING, EXITED = 1, 2
"""ContainerState."""

_NAMESPACES: Message = {
    "network": Field(1, INTEGER),
    "pid": Field(2, INTEGER),
    "ipc": Field(3, INTEGER),
}
_PORT_MAPPING: Message = {
    "protocol": Field(1, INTEGER),
    "container_port": Field(2, INTEGER),
    "host_port": Field(3, INTEGER),
    "host_ip": Field(4),
}
_SANDBOX_CONFIG: Message = {
    "metadata": Field(
        1,
        {"name": Field(1), "uid": Field(2), "namespace": Field(3), "attempt": Field(4, INTEGER)},
    ),
    "hostname": Field(2),
    "log_directory": Field(3),
    "dns_config": Field(
        4,
        {
            "servers": Field(1, repeated=True),
            "searches": Field(2, repeated=True),
            "options": Field(3, repeated=True),
        },
    ),
    "port_mappings": Field(5, _PORT_MAPPING, repeated=True),
    "annotations": Field(7, Scalar.TEXT_MAP),
    "linux": Field(
        8,
        {
            "cgroup_parent": Field(1),
            "security_context": Field(2, {"namespace_options": Field(1, _NAMESPACES)}),
        },
    ),
}
_SECURITY_CONTEXT: Message = {
    "capabilities": Field(
        1,
        {
            "add_capabilities": Field(1, repeated=True),
            "drop_capabilities": Field(2, repeated=True),
        },
    ),
    "privileged": Field(2, INTEGER),
    "namespace_options": Field(3, _NAMESPACES),
    "selinux_options": Field(4, {"type": Field(3)}),
    "run_as_user": Field(5, {"value": Field(1, INTEGER)}),
    "readonly_rootfs": Field(7, INTEGER),
    "no_new_privs": Field(11, INTEGER),
    "masked_paths": Field(13, repeated=True),
    "readonly_paths": Field(14, repeated=True),
    "seccomp": Field(15, {"profile_type": Field(1, INTEGER)}),
    "apparmor": Field(16, {"profile_type": Field(1, INTEGER)}),
}
_CONTAINER_CONFIG: Message = {
    "metadata": Field(1, {"name": Field(1), "attempt": Field(2, INTEGER)}),
    "image": Field(2, {"image": Field(1)}),
    "command": Field(3, repeated=True),
    "args": Field(4, repeated=True),
    "working_dir": Field(5),
    "envs": Field(6, {"key": Field(1), "value": Field(2)}, repeated=True),
    "mounts": Field(
        7,
        {
            "container_path": Field(1),
            "host_path": Field(2),
            "readonly": Field(3, INTEGER),
            "propagation": Field(5, INTEGER),
        },
        repeated=True,
    ),
    "log_path": Field(11),
    "linux": Field(15, {"security_context": Field(2, _SECURITY_CONTEXT)}),
}
_NOTHING: Message = {}
_SANDBOX_ID: Message = {"pod_sandbox_id": Field(1)}
_CONTAINER_ID: Message = {"container_id": Field(1)}
_STATUS: Message = {"info": Field(2, Scalar.TEXT_MAP)}

# method -> request, response
_METHODS: Mapping[str, tuple[Message, Message]] = {
    "Status": (
        {"verbose": Field(1, INTEGER)},
        {
            "status": Field(
                1,
                {
                    "conditions": Field(
                        1,
                        {
                            "type": Field(1),
                            "status": Field(2, INTEGER),
                            "reason": Field(3),
                            "message": Field(4),
                        },
                        repeated=True,
                    )
                },
            )
        },
    ),
    "RunPodSandbox": ({"config": Field(1, _SANDBOX_CONFIG)}, _SANDBOX_ID),
    "StopPodSandbox": (_SANDBOX_ID, _NOTHING),
    "RemovePodSandbox": (_SANDBOX_ID, _NOTHING),
    "PodSandboxStatus": (
        {**_SANDBOX_ID, "verbose": Field(2, INTEGER)},
        {
            **_STATUS,
            "status": Field(
                1,
                {
                    "state": Field(3, INTEGER),
                    "network": Field(
                        5,
                        {
                            "ip": Field(1),
                            "additional_ips": Field(2, {"ip": Field(1)}, repeated=True),
                        },
                    ),
                },
            ),
        },
    ),
    "CreateContainer": (
        {
            **_SANDBOX_ID,
            "config": Field(2, _CONTAINER_CONFIG),
            "sandbox_config": Field(3, _SANDBOX_CONFIG),
        },
        _CONTAINER_ID,
    ),
    "StartContainer": (_CONTAINER_ID, _NOTHING),
    "StopContainer": ({**_CONTAINER_ID, "timeout": Field(2, INTEGER)}, _NOTHING),
    "RemoveContainer": (_CONTAINER_ID, _NOTHING),
    "ContainerStatus": (
        {**_CONTAINER_ID, "verbose": Field(2, INTEGER)},
        {
            **_STATUS,
            "status": Field(
                1,
                {
                    "state": Field(3, INTEGER),
                    "exit_code": Field(7, INTEGER),
                    "reason": Field(10),
                    "message": Field(11),
                },
            ),
        },
    ),
}


class CriError(RuntimeError):
    """The runtime refused a call."""


class Cri:
    """Calls of one runtime, over its unix socket."""

    def __init__(self, socket: Path) -> None:
        """Connect at the first call; `socket` is a path as this process sees it."""
        # No proxy of the environment may take part.
        options = [("grpc.enable_http_proxy", 0), ("grpc.default_authority", "localhost")]
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()

    def call(self, method: str, *, timeout_s: float = 30, **request: Any) -> dict[str, Any]:
        """Call *method* of the RuntimeService; CriError with the runtime's words if it fails."""
        request_type, response_type = _METHODS[method]
        remote = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")
        try:
            answer = remote(encode(request_type, request), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise CriError(f"{method}: {error.details()}") from error
        return decode(response_type, answer)
