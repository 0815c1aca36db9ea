"""containerd in a lab node: pods through the CRI as kubelet makes them, and through `ctr run`."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from containerlab.runtime.containerd import PAUSE, SOCKET
from containerlab.runtime.containerd import Containerd as Runtime
from containerlab.runtime.cri import NODE, POD
from tests.support.runtime_node import ROOTFS, SLEEP, RuntimeNode, RuntimePod, sorted_addresses
from tests.support.wait import NotYetError, wait_until

IMAGE: Final = PAUSE
"""The one image there is."""
MASKED: Final = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware")
READ_ONLY: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What kubelet asks to mask and to make read-only in containers that are not privileged."""


class Containerd:
    """One containerd; its pods end with the node at the latest."""

    def __init__(self, host: RuntimeNode) -> None:
        """Describe it; ``start`` runs it."""
        self.host = host
        self._runtime = Runtime(host.node)
        self.cri = self._runtime.cri
        self._runs: dict[str, subprocess.Popen[str]] = {}
        self._configs: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Start it with the one image there is, and wait until it finds the network."""
        image = self.host.outside("/run/image.tar")
        image.write_bytes(_image(self.host.outside(ROOTFS)))
        self._runtime.start([image])
        wait_until(self._has_network, deadline_s=20, what="containerd is ready")

    def _has_network(self) -> bool:
        problem = self._runtime.network_problem()
        if problem:
            raise NotYetError(problem)
        return True

    def ctr(self, *argv: str, timeout_s: float = 30) -> str:
        """Run ctr to its end."""
        return self.host.node.run(["ctr", "--address", SOCKET, *argv], timeout_s=timeout_s).stdout

    def close(self) -> None:
        """Disconnect; the node's end is its end, and that of its pods."""
        self._runtime.close()
        for run in self._runs.values():
            if run.stdout is not None:
                run.stdout.close()

    # The way of kubelet

    def run_sandbox(self, name: str, **config: Any) -> RuntimePod:
        """RunPodSandbox; *config* adds to or replaces fields of PodSandboxConfig."""
        config = {
            "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "test"},
            "hostname": name,
            "log_directory": "/run/logs",
            "linux": self._linux(POD),
            **config,
        }
        sandbox_id = self._runtime.run_sandbox(config)
        self._configs[sandbox_id] = config
        return self.inspect_sandbox(name, sandbox_id)

    def run_host_sandbox(self, name: str) -> RuntimePod:
        """Run a sandbox in the node's network namespace; everything else is its own."""
        return self.run_sandbox(name, hostname="", linux=self._linux(NODE))

    def _linux(self, network: int) -> dict[str, Any]:
        namespaces = {"network": network, "pid": 1}
        return {
            "cgroup_parent": self.host.cgroup_parent,
            "security_context": {"namespace_options": namespaces},
        }

    def inspect_sandbox(self, name: str, sandbox_id: str) -> RuntimePod:
        """Return what PodSandboxStatus tells."""
        addresses = self._runtime.addresses(sandbox_id)
        return RuntimePod(
            name=name,
            id=sandbox_id,
            pid=self._runtime.sandbox_pid(sandbox_id),
            addresses=sorted_addresses([str(address) for address in addresses]),
        )

    def stop_sandbox(self, pod: RuntimePod) -> None:
        """StopPodSandbox: the CNI DEL happens here."""
        self.cri.call("StopPodSandbox", pod_sandbox_id=pod.id, timeout_s=60)

    def remove_sandbox(self, pod: RuntimePod) -> None:
        """RemovePodSandbox; stops it first if need be."""
        self.cri.call("RemovePodSandbox", pod_sandbox_id=pod.id, timeout_s=60)

    def start_container(
        self,
        sandbox: RuntimePod,
        name: str,
        command: Sequence[str],
        *,
        capabilities: Sequence[str] = (),
        mounts: Sequence[dict[str, Any]] = (),
        environment: dict[str, str] | None = None,
    ) -> str:
        """Start a container as kubelet does one that drops ALL and adds *capabilities*.

        Its root file system is read-only, its seccomp profile the runtime's.
        """
        namespaces = {"network": NODE, "pid": 1}
        config = {
            "metadata": {"name": name},
            "image": {"image": IMAGE},
            "command": list(command),
            "working_dir": "/",
            "envs": [{"key": k, "value": v} for k, v in (environment or {}).items()],
            "mounts": list(mounts),
            "log_path": f"{name}.log",
            "linux": {
                "security_context": {
                    "capabilities": {
                        "add_capabilities": list(capabilities),
                        "drop_capabilities": ["ALL"],
                    },
                    "namespace_options": namespaces,
                    "readonly_rootfs": True,
                    "no_new_privs": True,
                    "masked_paths": MASKED,
                    "readonly_paths": READ_ONLY,
                    "seccomp": {"profile_type": 0},  # RuntimeDefault
                }
            },
        }
        return self._runtime.start_container(sandbox.id, config, self._configs[sandbox.id])

    def container_pid(self, container_id: str) -> int:
        """Return the pid of a container's first process, in the node's pid namespace."""
        return self._runtime.pid(container_id)

    def container_log(self, name: str) -> str:
        """Return a container's output."""
        return self.host.outside(f"/run/logs/{name}.log").read_text(errors="replace")

    def stop_container(self, container_id: str, timeout_s: int = 10) -> None:
        """Send SIGTERM, after *timeout_s* SIGKILL; with 0 kill it at once. Then remove it."""
        self._runtime.stop_container(container_id, timeout_s)
        self.cri.call("RemoveContainer", container_id=container_id)

    # The way of ctr

    def ctr_run(self, name: str) -> RuntimePod:
        """`ctr run --cni`: returns when the pod runs; ctr itself stays until the end."""
        argv = ["ctr", "--address", SOCKET, "run", "--rm", "--cni", "--rootfs"]
        argv += ["--cgroup", f"{self.host.cgroup_parent}/{name}", ROOTFS, name, *SLEEP]
        run = self.host.node.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._runs[name] = run
        pid = wait_until(lambda: self._ctr_pid(name), deadline_s=20, what=f"ctr runs {name}")
        pod = RuntimePod(name=name, id=name, pid=pid, addresses=())
        # ctr tells nobody; what it was told lies in libcni's cache.
        cache = self.host.outside("/var/lib/cni/results")
        found = wait_until(
            lambda: [p for p in cache.iterdir() if name in p.name], deadline_s=5, what="a result"
        )
        result = json.loads(found[0].read_text())["result"]
        addresses = sorted_addresses([ip["address"] for ip in result["ips"]])
        return RuntimePod(name=name, id=pod.id, pid=pid, addresses=addresses)

    def _ctr_pid(self, name: str) -> int:
        run = self._runs[name]
        if run.poll() is not None:
            assert run.stdout is not None
            raise AssertionError(f"ctr run {name} ended: {run.stdout.read()}")
        for line in self.ctr("tasks", "list").splitlines()[1:]:
            task, pid, status = line.split()
            if (task, status) == (name, "RUNNING"):
                return int(pid)
        return 0

    def ctr_stop(self, pod: RuntimePod) -> None:
        """Kill the pod's process and wait for ctr, which calls DEL."""
        self.ctr("tasks", "kill", "--signal", "KILL", pod.name)
        run = self._runs.pop(pod.name)
        output, _ = run.communicate(timeout=60)
        assert "error" not in output.lower(), output


def _image(rootfs: Path) -> bytes:
    """Return an OCI image archive of one layer (opencontainers/image-spec, image-layout.md)."""
    layer_file = io.BytesIO()
    with tarfile.open(fileobj=layer_file, mode="w") as layer:
        layer.add(rootfs, arcname=".")
    files: dict[str, bytes] = {}

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {
            "mediaType": f"application/vnd.oci.image.{kind}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    layer_entry = blob(layer_file.getvalue(), "layer.v1.tar")
    image = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(SLEEP), "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer_entry["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob(json.dumps(image).encode(), "config.v1+json"),
        "layers": [layer_entry],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"io.containerd.image.name": IMAGE}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files["oci-layout"] = b'{"imageLayoutVersion": "1.0.0"}'
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()
