"""podroute's daemons as containers of a host-network pod, with the privileges of the DaemonSet.

A container sees a root file system of its own, read-only: the image's, with this machine's /usr
and the checkout shown in it. It shares the node's network namespace and /run/podroute, nothing
else; the node's net sysctls are writable below PROC_SYS only (/proc/sys is read-only, as
kubelet asks).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from tests.support.containerd import Containerd
from tests.support.runtime_node import CONFIG, ROOT
from tests.support.wait import NotYetError, wait_until

PROC_SYS: Final = "/host/proc/sys"
SERVER_CAPABILITIES: Final = ("NET_ADMIN", "SYS_ADMIN")
AGENT_CAPABILITIES: Final = ("KILL", "NET_ADMIN", "NET_RAW", "SETGID", "SETUID")
NUMBERS: Final = {
    "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21
}  # fmt: skip
"""linux/capability.h."""

PODROUTE: Final = Path(sys.prefix, "bin/podroute")


class ContainedDaemon:
    """One daemon; ``start`` makes a container, ``stop`` removes it."""

    def __init__(self, containerd: Containerd, name: str, *, is_agent: bool) -> None:
        """Describe it; needs ``run_host_sandbox`` to have been called by ``start``'s time."""
        self._containerd = containerd
        self._name = name
        self._starts = 0
        self._id = ""
        self.capabilities = AGENT_CAPABILITIES if is_agent else SERVER_CAPABILITIES
        self._arguments = ["router", "--config", CONFIG] if is_agent else ["cni"]
        self._mounts = _mounts(with_config=is_agent)

    def start(self, sandbox: Any) -> None:
        """Start it in a sandbox of the host's network."""
        self._starts += 1
        self._id = self._containerd.start_container(
            sandbox,
            f"{self._name}-{self._starts}",
            [str(PODROUTE), "--proc-sys", PROC_SYS, *self._arguments],
            capabilities=self.capabilities,
            mounts=self._mounts,
            environment={"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8"},
        )

    @property
    def pid(self) -> int:
        """The daemon's pid in the node's pid namespace."""
        return self._containerd.container_pid(self._id)

    def log(self) -> str:
        """Return the output of the current container."""
        return self._containerd.container_log(f"{self._name}-{self._starts}")

    def wait_logged(self, words: str) -> None:
        """Wait until it has said *words*."""

        def probe() -> bool:
            if words not in self.log():
                raise NotYetError(self.log())
            return True

        wait_until(probe, deadline_s=20, what=f"{self._name} says {words!r}")

    def stop(self, timeout_s: int = 10) -> None:
        """End it by SIGTERM, or by SIGKILL with 0."""
        self._containerd.stop_container(self._id, timeout_s)


def _mounts(*, with_config: bool) -> list[dict[str, Any]]:
    shown = [Path("/usr"), ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    read_only: dict[str, str] = {"/lib": "/usr/lib", "/lib64": "/usr/lib64"}
    for path in shown:
        if not any(path.is_relative_to(other) for other in read_only):
            read_only[str(path)] = str(path)
    if with_config:
        read_only[CONFIG] = CONFIG
    writable = {"/run/podroute": "/run/podroute", f"{PROC_SYS}/net": "/proc/sys/net"}
    return [
        {
            "container_path": inside,
            "host_path": outside,
            "readonly": outside not in writable.values(),
        }
        for inside, outside in {**read_only, **writable}.items()
    ]
