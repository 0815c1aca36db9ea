"""The part of kubelet a DaemonSet's pod needs: init containers, probes, restarts, its end.

One thread a kubelet turns the probes, at the manifest's periods (divided by `clock`, so that an
outage of minutes fits into seconds).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from containerlab.runtime.containerd import Containerd
from containerlab.runtime.podspec import Around, Object, container_config, sandbox_config
from containerlab.runtime.probe import ask, seconds

PODS: Final = "/var/lib/kubelet/pods"
_TICK_S: Final = 0.05
_INIT_S: Final = 30.0


class KubeletError(RuntimeError):
    """A pod did not come up; the text has its last words."""


@dataclass(slots=True, kw_only=True)
class Running:
    """One container of a pod, and what its probes said."""

    spec: Object
    id: str
    started_at: float
    restarts: int = 0
    started: bool = False
    ready: bool = False
    failures: dict[str, int] = field(default_factory=dict)
    probed_at: dict[str, float] = field(default_factory=dict)
    said: str = ""


@dataclass(slots=True, kw_only=True)
class KubePod:
    """A pod this kubelet runs."""

    name: str
    uid: str
    spec: Object
    sandbox: str
    sandbox_config: dict[str, Any]
    around: Around
    containers: list[Running] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether all its containers are."""
        return all(each.ready for each in self.containers)

    @property
    def restarts(self) -> int:
        """How often a container was started again."""
        return sum(each.restarts for each in self.containers)

    def why_not_ready(self) -> str:
        """Return the names of the containers that are not, with what their probe said."""
        return "; ".join(f"{r.spec['name']}: {r.said}" for r in self.containers if not r.ready)


class Kubelet:
    """Runs pods on one node."""

    def __init__(
        self,
        containerd: Containerd,
        cgroup_parent: str,
        *,
        config_maps: Callable[[str], Mapping[str, Mapping[str, str]]],
        token: str,
    ) -> None:
        """`config_maps` gives those of a namespace; `token` is what a projected token holds."""
        self.containerd = containerd
        self.node = containerd.node
        self.clock = 1.0
        self.cgroup_parent = cgroup_parent
        self._config_maps = config_maps
        self._token = token
        self._pods: list[KubePod] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="kubelet", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the probes."""
        self._ended.set()
        self._thread.join(10)
        self.containerd.close()

    # --- pods -----------------------------------------------------------------------------------

    def run_pod(self, manifest: Object, name: str) -> KubePod:
        """Run a pod: sandbox, volumes, init containers one by one, containers.

        Raises KubeletError when an init container fails.
        """
        spec, namespace = manifest["spec"], manifest["metadata"]["namespace"]
        uid = str(uuid.uuid4())
        around = Around(
            node=self.node.name,
            namespace=namespace,
            cgroup_parent=self.cgroup_parent,
            volumes={},
            config_maps=self._config_maps(namespace),
        )
        around = Around(
            node=around.node,
            namespace=namespace,
            cgroup_parent=self.cgroup_parent,
            volumes={v["name"]: self._volume(v, uid, around) for v in spec.get("volumes", ())},
            config_maps=around.config_maps,
        )
        config = sandbox_config(spec, name, uid, around)
        self.node.run(["mkdir", "-p", config["log_directory"]])
        pod = KubePod(
            name=name,
            uid=uid,
            spec=spec,
            sandbox=self.containerd.run_sandbox(config),
            sandbox_config=config,
            around=around,
        )
        for container in spec.get("initContainers", ()):
            self.run_to_end(pod, container)
        pod.containers = [
            Running(spec=each, id=self._start(pod, each), started_at=time.monotonic())
            for each in spec.get("containers", ())
        ]
        with self._lock:
            self._pods.append(pod)
        return pod

    def run_to_end(self, pod: KubePod, container: Object) -> str:
        """Run a container to its end; return what it said. KubeletError unless it succeeded."""
        identifier = self._start(pod, container)
        end = time.monotonic() + _INIT_S
        while (code := self.containerd.exit_code(identifier)) is None:
            if time.monotonic() > end:
                raise KubeletError(f"{container['name']} does not end: {self.log(pod, container)}")
            time.sleep(0.02)
        if code:
            raise KubeletError(f"{container['name']}: exit {code}: {self.log(pod, container)}")
        return self.log(pod, container)

    def remove_pod(self, pod: KubePod) -> None:
        """End a pod as kubelet does: SIGTERM to all containers at once, then the sandbox."""
        with self._lock:
            self._pods = [each for each in self._pods if each is not pod]
        grace_s = int(pod.spec.get("terminationGracePeriodSeconds", 30))
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda r: self.containerd.stop_container(r.id, grace_s), pod.containers))
        self.containerd.remove_sandbox(pod.sandbox)
        self.node.run(["rm", "-rf", f"{PODS}/{pod.uid}"])

    def log(self, pod: KubePod, container: Object, lines: int = 30) -> str:
        """Return the last lines of a container's output."""
        folder = self.containerd.outside(pod.sandbox_config["log_directory"])
        try:
            text = (folder / f"{container['name']}.log").read_text(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _start(self, pod: KubePod, container: Object) -> str:
        config = container_config(pod.spec, container, pod.around)
        return self.containerd.start_container(pod.sandbox, config, pod.sandbox_config)

    def _volume(self, volume: Object, uid: str, around: Around) -> str:
        """Make a volume ready; return the node's path of it."""
        if "hostPath" in volume:
            path = str(volume["hostPath"]["path"])
            if volume["hostPath"].get("type") == "DirectoryOrCreate":
                self.node.run(["mkdir", "-p", path])
            else:
                self.node.run(["test", "-d", path])
            return path
        folder = f"{PODS}/{uid}/volumes/{volume['name']}"
        self.node.run(["mkdir", "-p", folder])
        for source in volume["projected"]["sources"]:
            for path, content in self._projected(source, around):
                outside = Path(self.containerd.outside(f"{folder}/{path}"))
                outside.write_text(content)
                outside.chmod(0o600)
        return folder

    def _projected(self, source: Object, around: Around) -> list[tuple[str, str]]:
        if "serviceAccountToken" in source:
            return [(source["serviceAccountToken"]["path"], self._token)]
        if "configMap" in source:
            held = around.config_maps[source["configMap"]["name"]]
            return [(item["path"], held[item["key"]]) for item in source["configMap"]["items"]]
        return [(item["path"], around.namespace) for item in source["downwardAPI"]["items"]]

    # --- probes and restarts --------------------------------------------------------------------

    def _turn(self) -> None:
        while not self._ended.wait(_TICK_S):
            with self._lock:
                pods = tuple(self._pods)
            for pod in pods:
                for running in pod.containers:
                    self._look_after(pod, running)

    def _look_after(self, pod: KubePod, running: Running) -> None:
        now = time.monotonic()
        if now - running.probed_at.get("state", 0) > 0.5:
            running.probed_at["state"] = now
            if self._is_over(pod, running):
                return
        spec = running.spec
        if not running.started:
            running.started = "startupProbe" not in spec or self._passes(running, "startupProbe")
            if not running.started:
                if self._failed(running, "startupProbe"):
                    self._restart(pod, running, "the startup probe failed")
                return
        self._passes(running, "livenessProbe")
        if self._failed(running, "livenessProbe"):
            self._restart(pod, running, "the liveness probe failed")
            return
        if "readinessProbe" not in spec or self._passes(running, "readinessProbe"):
            running.ready = True
        elif self._failed(running, "readinessProbe"):
            running.ready = False

    def _is_over(self, pod: KubePod, running: Running) -> bool:
        try:
            code = self.containerd.exit_code(running.id)
        except RuntimeError:
            return True  # on its way out
        with self._lock:
            wanted = pod in self._pods
        if code is None or not wanted:
            return code is not None
        self._restart(pod, running, f"it ended with {code}")
        return True

    def _restart(self, pod: KubePod, running: Running, why: str) -> None:
        with self._lock:
            if pod not in self._pods:
                return
        self.containerd.stop_container(running.id, 10)
        self.containerd.cri.call("RemoveContainer", container_id=running.id)
        running.id = self._start(pod, running.spec)
        running.restarts += 1
        running.said = f"restarted: {why}"
        running.started = running.ready = False
        running.failures.clear()
        running.probed_at.clear()

    def _passes(self, running: Running, kind: str) -> bool:
        """Probe if it is time to; return whether it was, and succeeded."""
        probe = running.spec.get(kind)
        now = time.monotonic()
        if (
            probe is None
            or now - running.probed_at.get(kind, 0)
            < seconds(probe, "periodSeconds", 10) / self.clock
        ):
            return False
        running.probed_at[kind] = now
        ok, running.said = ask(self.node.pid, probe, running.spec)
        running.failures[kind] = 0 if ok else running.failures.get(kind, 0) + 1
        return ok

    def _failed(self, running: Running, kind: str) -> bool:
        probe = running.spec.get(kind)
        return probe is not None and running.failures.get(kind, 0) >= seconds(
            probe, "failureThreshold", 3
        )
