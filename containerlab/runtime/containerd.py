"""containerd in a lab node, driven through CRI as kubelet does it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

from containerlab.netlab.node import Node
from containerlab.runtime.cri import RUNNING, Cri

SOCKET: Final = "/run/containerd/containerd.sock"
STATE: Final = "/var/lib/containerd"
PAUSE: Final = "localhost/podroute-pause:1"
_CTR: Final = ("ctr", "--address", SOCKET)

# The machine's limits may forbid to lower a score (no CAP_SYS_RESOURCE), and it may lack AppArmor.
_CONFIG: Final = f"""
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt"]
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
"""
_START_S: Final = 20.0


class ContainerdError(RuntimeError):
    """containerd does not do what it should; the text has its words."""


class Containerd:
    """One containerd; what it runs ends with the node at the latest."""

    def __init__(self, node: Node) -> None:
        """Describe it; ``start`` runs it."""
        self.node = node
        self.cri = Cri(self.outside(SOCKET))
        self._process: subprocess.Popen[str] | None = None

    def outside(self, path: str) -> Path:
        """Return a path by which this process sees a file of the node."""
        return Path(f"/proc/{self.node.pid}/root{path}")

    def start(self, images: Sequence[Path]) -> None:
        """Start it and import the images; it may still lack a network then."""
        # Overlays need a place that is none itself.
        script = f"mkdir -p /etc/containerd {STATE}; mount -t tmpfs tmpfs {STATE}"
        self.node.run(["sh", "-ec", f"{script}; cat > /etc/containerd/config.toml"], input=_CONFIG)
        with self.outside("/run/containerd.log").open("ab") as log:
            self._process = self.node.popen(
                ["containerd", "--log-level", "warn"], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + _START_S
        while not self.outside(SOCKET).exists():
            if self._process.poll() is not None or time.monotonic() > end:
                raise ContainerdError(self.outside("/run/containerd.log").read_text())
            time.sleep(0.02)
        for image in images:
            with image.open("rb") as archive:
                importing = self.node.popen(
                    [*_CTR, "-n", "k8s.io", "images", "import", "-"],
                    stdin=archive,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                told, _ = importing.communicate(timeout=60)
            if importing.returncode:
                raise ContainerdError(f"{self.node.name}: import of {image.name}: {told}")

    def network_problem(self) -> str:
        """Return why the runtime is not ready, "" if it is."""
        conditions = self.cri.call("Status")["status"]["conditions"]
        return "; ".join(
            str(each.get("message") or each["type"])
            for each in conditions
            if not each.get("status")
        )

    def run_sandbox(self, config: dict[str, Any]) -> str:
        """RunPodSandbox; return its id."""
        return str(self.cri.call("RunPodSandbox", config=config, timeout_s=60)["pod_sandbox_id"])

    def sandbox_pid(self, sandbox: str) -> int:
        """Return the pid of a sandbox's first process, in the node's pid namespace."""
        answer = self.cri.call("PodSandboxStatus", pod_sandbox_id=sandbox, verbose=True)
        return int(json.loads(answer["info"]["info"])["pid"])

    def addresses(self, sandbox: str) -> tuple[IPv4Address | IPv6Address, ...]:
        """Return the addresses that the plugin's result told containerd."""
        answer = self.cri.call("PodSandboxStatus", pod_sandbox_id=sandbox)
        network = answer["status"].get("network", {})
        texts = [network.get("ip", ""), *(ip["ip"] for ip in network.get("additional_ips", ()))]
        return tuple(ip_address(text) for text in texts if text)

    def remove_sandbox(self, sandbox: str) -> None:
        """Stop and remove a sandbox and its containers."""
        self.cri.call("StopPodSandbox", pod_sandbox_id=sandbox, timeout_s=60)
        self.cri.call("RemovePodSandbox", pod_sandbox_id=sandbox, timeout_s=60)

    def start_container(
        self, sandbox: str, config: dict[str, Any], sandbox_config: dict[str, Any]
    ) -> str:
        """CreateContainer and StartContainer; return its id."""
        made = self.cri.call(
            "CreateContainer", pod_sandbox_id=sandbox, config=config, sandbox_config=sandbox_config
        )
        container = str(made["container_id"])
        self.cri.call("StartContainer", container_id=container)
        return container

    def exit_code(self, container: str) -> int | None:
        """Return the exit code of a container that has ended, None while it runs."""
        status = self.cri.call("ContainerStatus", container_id=container)["status"]
        return None if status.get("state") == RUNNING else int(status.get("exit_code", 0))

    def pid(self, container: str) -> int:
        """Return the pid of a container's first process, in the node's pid namespace."""
        answer = self.cri.call("ContainerStatus", container_id=container, verbose=True)
        return int(json.loads(answer["info"]["info"])["pid"])

    def stop_container(self, container: str, grace_s: int) -> None:
        """SIGTERM, after *grace_s* SIGKILL."""
        self.cri.call("StopContainer", container_id=container, timeout=grace_s, timeout_s=60)

    def close(self) -> None:
        """Disconnect."""
        self.cri.close()
