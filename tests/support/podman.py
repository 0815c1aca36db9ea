"""podman in a lab node, with its CNI backend (podman 4.3; netavark replaced it later)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any, Final

from tests.support.runtime_node import (
    CNI_BIN,
    ROOTFS,
    SLEEP,
    RuntimeNode,
    RuntimePod,
    sorted_addresses,
)

_CONFIG: Final = f"""
[network]
network_backend = "cni"
cni_plugin_dirs = ["{CNI_BIN}"]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# crun refuses hybrid cgroups.
_RUNC: Final = shutil.which("runc", path="/usr/local/sbin:/usr/sbin:/usr/bin") or "runc"
_OPTIONS: Final = ("--runtime", _RUNC, "--storage-driver", "vfs", "--log-level", "error")
# Where root has no CAP_SYS_RESOURCE, podman's own limits are higher than what may be set.
_LIMITS: Final = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Podman:
    """podman's commands in one node."""

    def __init__(self, host: RuntimeNode) -> None:
        """Write its configuration."""
        self.host = host
        script = """
            mkdir -p /etc/containers
            cat > /etc/containers/containers.conf
            # podman's locks live there, and /dev is the machine's.
            mount -t tmpfs tmpfs /dev/shm
            # A second, empty hierarchy beside version 1 makes podman take it for version 2.
            ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
        """
        host.node.run(["sh", "-ec", script], input=_CONFIG)

    def podman(self, *argv: str, check: bool = True, timeout_s: float = 60) -> str:
        """Run podman to its end; return its output."""
        command = ["podman", *_OPTIONS, *argv]
        done = self.host.node.run(command, check=check, timeout_s=timeout_s)
        return done.stdout + ("" if check else done.stderr)

    def run(self, name: str, *options: str, command: Sequence[str] = SLEEP) -> RuntimePod:
        """`podman run --detach` with *options*; return what `podman inspect` tells."""
        rootfs = f"{ROOTFS}-{name}"
        self.host.node.run(["cp", "-a", ROOTFS, rootfs])
        argv = ["run", "--detach", "--name", name, "--network", "podroute", *_LIMITS]
        argv += ["--cgroup-parent", self.host.cgroup_parent, *options, "--rootfs", rootfs]
        self.podman(*argv, *command)
        return self.inspect(name)

    def inspect(self, name: str) -> RuntimePod:
        """Return what podman tells of a container."""
        told: dict[str, Any] = json.loads(self.podman("inspect", name))[0]
        network = told["NetworkSettings"]["Networks"]["podroute"]
        texts = [network["IPAddress"], network["GlobalIPv6Address"]]
        return RuntimePod(
            name=name,
            id=told["Id"],
            pid=told["State"]["Pid"],
            addresses=sorted_addresses([text for text in texts if text]),
        )

    def stop(self, pod: RuntimePod) -> None:
        """Kill and remove a container; podman calls DEL before it returns."""
        self.podman("rm", "--force", "--time", "0", pod.name)
