"""Plugins executed and timed by a small C program, in a node made for it.

What the program does, and what it checks after each call, stands in ``cni_driver.c``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tests.support.cni_node import SOCKET, CniNode
from tests.support.netns import Namespace
from tests.support.wait import wait_until

HERE: Final = Path(__file__).parent
OURS: Final = "podroute"
ANCHOR: Final = "ptp"
PROGRAM: Final = """
from router.cli.main import main
raise SystemExit(main(["cni"]))
"""
"""What runs as ``podroute cni``, its log lines included."""
NODE_IPV4: Final = "10.255.1.1"
NODE_IPV6: Final = "fd00:255:1::1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One timed batch of calls: from the first spawn to the last one reaped."""

    took_ms: float
    fault: str


class Driver:
    """The C program, running in the node's namespaces."""

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        """Compile and start it; ``directory`` takes the program and the configurations."""
        program = directory / "cni_driver"
        subprocess.run(
            [
                *("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program),
                *sorted(HERE.glob("cni_driver*.c")),
            ],
            check=True,
        )
        self._directory = directory
        self._process = namespace.popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=10)

    def plugin(self, name: str, path: Path, configuration: Mapping[str, Any]) -> None:
        """Tell it about a plugin."""
        file = self._directory / f"{name}.conf"
        file.write_text(json.dumps(configuration))
        self._ask(f"plugin {name} {path} {file} {NODE_IPV4} {NODE_IPV6}")

    def call(self, name: str, verb: str, first: int, *, count: int = 1, window: int = 50) -> Timed:
        """Call a plugin for ``count`` sandboxes from ``first`` on, ``window`` at a time."""
        return self._timed(f"call {name} {verb} {first} {count} {min(window, count)}")

    def replay(self, first: int, rounds: int, messages: Path, undo: Path) -> Timed:
        """Return the median of sending packed messages from C."""
        return self._timed(f"replay {first} {rounds} {messages} {undo}")

    def _timed(self, command: str) -> Timed:
        took, fault = self._ask(command).split(" ", 1)
        return Timed(took_ms=int(took) / 1e6, fault="" if fault == "-" else fault)

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(command, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"the driver ended at {command!r}")
        return answer


def make_sandboxes(namespace: Namespace, first: int, count: int) -> None:
    """Make the named network namespaces p<first>...; their loopback stays down."""
    lines = "".join(f"netns add p{number}\n" for number in range(first, first + count))
    namespace.run(["ip", "-batch", "-"], input=lines, timeout_s=60)


def our_configuration() -> dict[str, Any]:
    """Return the configuration podroute installs."""
    return {"cniVersion": "1.0.0", "name": "podroute", "type": "podroute"}


def anchor_configuration(data_dir: Path) -> dict[str, Any]:
    """Return Debian's ptp with host-local; IPv4 only, which is in its favour."""
    return {
        "cniVersion": "1.0.0",
        "name": "anchor",
        "type": "ptp",
        "ipMasq": False,
        "mtu": 1500,
        "ipam": {
            "type": "host-local",
            "dataDir": str(data_dir),
            "ranges": [[{"subnet": "10.245.0.0/20"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }


def start_server(node: CniNode) -> None:
    """Start the server as ``podroute cni`` does, and wait until it serves."""
    node.program = PROGRAM
    node.start(wait=False)

    def serves() -> bool:
        assert node.server is not None
        if node.server.poll() is not None:
            raise AssertionError(f"server ended: {node.log()}")
        return node.namespace.run(["test", "-S", SOCKET], check=False).returncode == 0

    wait_until(serves, deadline_s=10, what="the server serves")


def resident_mb(node: CniNode) -> float:
    """Return the resident memory of the node's CNI server."""
    status = Path(f"/proc/{node.server_pid}/status").read_text(encoding="ascii")
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)
