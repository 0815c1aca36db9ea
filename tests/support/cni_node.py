"""A node with the real CNI server in it, called through the real shim as a runtime calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from cni.node_facts import NodeFacts, render
from cni.shim.build import build
from tests.support.netns import Namespace, inner_pid
from tests.support.wait import NotYetError, wait_until

ROOT = Path(__file__).resolve().parents[2]
RUN_DIR = "/run/podroute"
SOCKET = f"{RUN_DIR}/cni.sock"
CNI_PATH = "/opt/cni/bin"

SERVER = """
import logging
from cni.server.app import ServerSettings, serve
from router.kernel.podlink import open_dataplane
logging.basicConfig(level=logging.INFO, format="%(message)s %(levelname)s %(name)s")
raise SystemExit(serve(ServerSettings(), open_dataplane()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the runtime sees of a call."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def body(self) -> Any:
        """Return the JSON object on standard output."""
        return json.loads(self.stdout)

    @property
    def addresses(self) -> list[str]:
        """Return the addresses of a result, without their length."""
        return [ip["address"].split("/")[0] for ip in self.body["ips"]]


class CniNode:
    """One node: starts and kills its server, makes sandboxes, calls the plugin."""

    def __init__(self, namespace: Namespace, shim: Path) -> None:
        """Prepare the namespace as the route agent would: sysctls, loopback addresses, facts."""
        self.namespace = namespace
        self.shim = shim
        self.server: subprocess.Popen[str] | None = None
        self.program = SERVER
        self.server_environment: dict[str, str] = {}
        self._log_before_start = 0
        for address in ("10.255.1.1/32", "fd00:255:1::1/128"):
            namespace.run(["ip", "addr", "add", address, "dev", "lo"])
        namespace.write_sysctl("net.ipv4.ip_forward", 1)
        namespace.write_sysctl("net.ipv6.conf.all.forwarding", 1)

    def facts(
        self,
        *cidrs: str,
        ready: bool = True,
        reason: str = "",
        mtu: int = 1500,
        node_addresses: Sequence[str] = ("10.255.1.1", "fd00:255:1::1"),
    ) -> None:
        """Write node.json by rename, as the agent does."""
        content = render(
            NodeFacts(
                generation=1,
                node=self.namespace.name,
                pod_cidrs=tuple(map(ip_network, cidrs)),
                node_addresses=tuple(map(ip_address, node_addresses)),
                mtu=mtu,
                ready=ready,
                reason=reason,
            )
        ).decode()
        script = (
            f"mkdir -p -m 700 {RUN_DIR} && cat > {RUN_DIR}/n && mv {RUN_DIR}/n {RUN_DIR}/node.json"
        )
        self.namespace.run(["sh", "-ec", script], input=content)

    def start(self, *, wait: bool = True) -> None:
        """Start the server; with ``wait``, until it serves."""
        self._log_before_start = len(self.log())
        log = f"{RUN_DIR}/log"
        self.namespace.run(["mkdir", "-p", "-m", "700", RUN_DIR])
        self.server = self.namespace.popen(
            ["sh", "-c", f'exec "$0" -c "$1" >> {log} 2>&1', sys.executable, self.program],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                **self.server_environment,
            },
        )
        if wait:
            self.wait_serving()

    def wait_serving(self) -> None:
        """Wait until the server listens."""

        def serves() -> bool:
            log = self.log()
            if self.server is not None and self.server.poll() is not None:
                raise AssertionError(f"server ended: {log}")
            if "serving INFO" not in log[self._log_before_start :]:
                raise NotYetError(log)
            return True

        wait_until(serves, deadline_s=10, what="the server serves")

    def log(self) -> str:
        """Return what the servers of this node have logged."""
        log = self.root / RUN_DIR[1:] / "log"
        return log.read_text(encoding="utf-8") if log.exists() else ""

    @property
    def root(self) -> Path:
        """Return the node's root directory as we see it."""
        return Path(f"/proc/{self.namespace.pid}/root")

    @property
    def server_pid(self) -> int:
        """Return the server's pid as we see it."""
        assert self.server is not None
        return inner_pid(self.server)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End the server and return its exit code."""
        assert self.server is not None
        os.kill(self.server_pid, signum)
        code = self.server.wait(timeout=10)
        self.server = None
        return code

    def close(self) -> None:
        """Kill the server, if it still runs, and reap its process."""
        if self.server is not None:
            self.namespace.kill(self.server)
            self.server.wait(timeout=10)

    def sandbox(self, name: str) -> str:
        """Make a named network namespace with lo up; return its path inside the node."""
        self.namespace.run(["ip", "netns", "add", name])
        self.in_pod(name, "ip", "link", "set", "lo", "up")
        return f"/run/netns/{name}"

    def in_pod(self, name: str, *argv: str, check: bool = True) -> str:
        """Run a program in a sandbox and return its output."""
        return self.namespace.run(["ip", "netns", "exec", name, *argv], check=check).stdout

    def call(
        self,
        command: str,
        sandbox: str,
        *,
        config: Mapping[str, Any] | str | None = None,
        timeout_s: float = 30,
        **changes: str | None,
    ) -> Answer:
        """Execute the shim; a variable given as None is left out."""
        if config is None:
            config = {}
        if not isinstance(config, str):
            base = {"cniVersion": "1.0.0", "name": "podroute", "type": "podroute"}
            config = json.dumps(base | dict(config))
        done = self.namespace.run(
            [self.shim],
            check=False,
            timeout_s=timeout_s,
            env=self.environment(command, sandbox, **changes),
            input=config,
        )
        return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def environment(self, command: str, sandbox: str, **changes: str | None) -> dict[str, str]:
        """Return the environment of a call for the container named like its sandbox."""
        variables: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": f"container-{sandbox}",
            "CNI_NETNS": f"/run/netns/{sandbox}",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": CNI_PATH,
            **changes,
        }
        return {key: value for key, value in variables.items() if value is not None}

    def add(self, sandbox: str, **options: Any) -> Answer:
        """ADD and require success."""
        answer = self.call("ADD", sandbox, **options)
        assert answer.exit_code == 0, answer.stdout + self.log()
        return answer

    def delete(self, sandbox: str, **options: Any) -> None:
        """DEL and require success without output."""
        answer = self.call("DEL", sandbox, **options)
        assert (answer.exit_code, answer.stdout) == (0, ""), answer.stdout + self.log()

    def links(self) -> list[str]:
        """Return the names of the host's pod links."""
        listed = json.loads(self.namespace.run(["ip", "-j", "link", "show", "type", "veth"]).stdout)
        return sorted(link["ifname"] for link in listed)

    def pod_routes(self) -> list[str]:
        """Return the destinations of the host routes with our protocol."""
        destinations = []
        for family in ("-4", "-6"):
            argv = ["ip", "-j", family, "route", "show", "proto", "73"]
            destinations += [r["dst"] for r in json.loads(self.namespace.run(argv).stdout or "[]")]
        return sorted(destinations)

    def spooled(self) -> list[str]:
        """Return the names in the spool, temporary ones included."""
        directory = self.root / RUN_DIR[1:] / "spool"
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def begin(node: CniNode, command: str, sandbox: str) -> subprocess.Popen[str]:
    """Start a call of the shim and return at once."""
    process = node.namespace.popen(
        [node.shim],
        env=node.environment(command, sandbox),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write('{"cniVersion":"1.0.0","name":"podroute","type":"podroute"}')
    process.stdin.close()
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a call that `begin` started; return exit code and output."""
    assert process.stdout is not None
    with process.stdout as stdout:
        output = stdout.read()
    return process.wait(timeout=40), output


def first_packet_passes(node: CniNode, sandbox: str, address: str) -> None:
    """Send exactly one echo from the node to the pod, and one back: neither may be lost."""
    source = "10.255.1.1" if "." in address else "fd00:255:1::1"
    node.namespace.run(["ping", "-c", "1", "-W", "5", address])
    node.in_pod(sandbox, "ping", "-c", "1", "-W", "5", source)


def pods_of(node: CniNode) -> Any:
    """Return what `podroute pods` shows."""
    argv = ["sh", "-c", f'cd {ROOT} && exec "$0" -m router pods -o json', sys.executable]
    return json.loads(node.namespace.run(argv).stdout)


def build_shim(directory: Path) -> Path:
    """Compile the shim for a test."""
    shim = directory / "podroute"
    build(shim)
    return shim
