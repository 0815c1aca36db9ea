"""From a pod's manifest to what kubelet asks a runtime for. PURE.

Every field of a security context is honoured or refused: a field this does not know is an error,
so that a manifest cannot ask for more, or less, than was run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from containerlab.runtime.cri import CONTAINER, NODE, POD

Object = Mapping[str, Any]

MASKED: Final = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What kubelet asks to mask and to make read-only in containers that are not privileged."""

_RUNTIME_DEFAULT: Final = 0
_PROPAGATION: Final = {None: 0, "None": 0, "HostToContainer": 1, "Bidirectional": 2}
_POD_SECURITY: Final = frozenset({"seccompProfile", "seLinuxOptions"})
_SECURITY: Final = frozenset(
    {
        "allowPrivilegeEscalation",
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsUser",
    }
)


class PodSpecError(ValueError):
    """The manifest asks for something this kubelet does not do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a kubelet knows besides the manifest."""

    node: str
    namespace: str
    cgroup_parent: str
    volumes: Mapping[str, str]
    """Volume name to the node's path."""
    config_maps: Mapping[str, Mapping[str, str]]
    """Those of the pod's namespace, by name."""


def sandbox_config(pod: Object, name: str, uid: str, around: Around) -> dict[str, Any]:
    """Return the PodSandboxConfig."""
    return {
        "metadata": {"name": name, "uid": uid, "namespace": around.namespace},
        "hostname": "" if pod.get("hostNetwork") else name,
        "log_directory": f"/var/log/pods/{around.namespace}_{name}_{uid}",
        "linux": {
            "cgroup_parent": around.cgroup_parent,
            "security_context": {"namespace_options": _namespaces(pod)},
        },
    }


def container_config(pod: Object, container: Object, around: Around) -> dict[str, Any]:
    """Return the ContainerConfig of one container. Raises PodSpecError."""
    return {
        "metadata": {"name": container["name"]},
        "image": {"image": container["image"]},
        # The image's entry point, and the manifest's arguments.
        "command": list(container.get("command", ())),
        "args": list(container.get("args", ())),
        "envs": [
            {"key": entry["name"], "value": value}
            for entry in container.get("env", ())
            if (value := _value(entry, around)) is not None
        ],
        "mounts": [_mount(mount, around) for mount in container.get("volumeMounts", ())],
        "log_path": f"{container['name']}.log",
        "linux": {"security_context": _security(pod, container)},
    }


def _namespaces(pod: Object) -> dict[str, int]:
    return {
        "network": NODE if pod.get("hostNetwork") else POD,
        "pid": NODE if pod.get("hostPID") else CONTAINER,
        "ipc": NODE if pod.get("hostIPC") else POD,
    }


def _security(pod: Object, container: Object) -> dict[str, Any]:
    common, own = pod.get("securityContext", {}), container.get("securityContext", {})
    for given, known in ((common, _POD_SECURITY), (own, _SECURITY)):
        if unknown := given.keys() - known:
            raise PodSpecError(f"{container['name']}: not done here: {', '.join(sorted(unknown))}")
    if common.get("seccompProfile") != {"type": "RuntimeDefault"}:
        raise PodSpecError(f"{container['name']}: only the runtime's seccomp profile is done here")
    capabilities = own.get("capabilities", {})
    context: dict[str, Any] = {
        "capabilities": {
            "add_capabilities": list(capabilities.get("add", ())),
            "drop_capabilities": list(capabilities.get("drop", ())),
        },
        "namespace_options": _namespaces(pod),
        "selinux_options": {"type": common.get("seLinuxOptions", {}).get("type", "")},
        "readonly_rootfs": bool(own.get("readOnlyRootFilesystem")),
        "no_new_privs": own.get("allowPrivilegeEscalation") is False,
        "masked_paths": MASKED,
        "readonly_paths": READ_ONLY,
        "seccomp": {"profile_type": _RUNTIME_DEFAULT},
    }
    if "runAsUser" in own:
        context["run_as_user"] = {"value": own["runAsUser"]}
    return context


def _value(entry: Object, around: Around) -> str | None:
    if "value" in entry:
        return str(entry["value"])
    source = entry["valueFrom"]
    if "fieldRef" in source:
        fields = {"spec.nodeName": around.node, "metadata.namespace": around.namespace}
        return fields[source["fieldRef"]["fieldPath"]]
    reference = source["configMapKeyRef"]
    found = around.config_maps.get(reference["name"], {}).get(reference["key"])
    if found is None and not reference.get("optional"):
        raise PodSpecError(f"ConfigMap {reference['name']} has no {reference['key']}")
    return found


def _mount(mount: Object, around: Around) -> dict[str, Any]:
    return {
        "container_path": mount["mountPath"],
        "host_path": around.volumes[mount["name"]],
        "readonly": bool(mount.get("readOnly")),
        "propagation": _PROPAGATION[mount.get("mountPropagation")],
    }


def tolerates(tolerations: Sequence[Object], taint: Object) -> bool:
    """Whether one of the tolerations covers a taint (k8s.io/component-helpers, tolerations)."""
    return any(
        each.get("effect") in (None, taint["effect"])
        and (
            (each.get("operator") == "Exists" and each.get("key") in (None, taint["key"]))
            or (each.get("key"), each.get("value")) == (taint["key"], taint.get("value"))
        )
        for each in tolerations
    )
