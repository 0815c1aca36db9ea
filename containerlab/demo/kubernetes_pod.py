"""A pod that containerd made by a CRI call, as kubelet asks for one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from containerlab.demo.pod import Pod


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriPod(Pod):
    """A pod that containerd made; ``container_id`` is its sandbox's."""

    pid: int
    """Of its first process, in the node's pid namespace."""

    def popen(
        self, argv: Sequence[str], *, stdin: int, stdout: int, stderr: int
    ) -> subprocess.Popen[str]:
        """Start one of the node's programs in the pod's network namespace."""
        enter = ["nsenter", "-t", str(self.pid), "-n"]
        return self.node.popen([*enter, *argv], stdin=stdin, stdout=stdout, stderr=stderr)
