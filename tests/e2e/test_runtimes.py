"""Real container runtimes make pods with the real plugin, its server and its agent."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from containerlab.demo.leftovers import Snapshot, left_behind, namespaces_of
from containerlab.netlab.errors import NodeError
from tests.support.containerd import Containerd
from tests.support.podman import Podman
from tests.support.runtime_node import (
    PLAIN,
    RuntimeNode,
    RuntimePod,
    runtime_node,
)
from tests.support.wait import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("containerd", "ctr", "runc", "podman", "busybox"),
]

NODE_ADDRESSES = {4: "10.255.1.1", 6: "fd00:255:1::1"}
CHAIN = (
    {"type": "podroute", "capabilities": {"ips": True, "mac": True, "dns": True}},
    {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}},
    {"type": "bandwidth", "capabilities": {"bandwidth": True}},
    {"type": "tuning", "sysctl": {"net.core.somaxconn": "500"}},
    {"type": "firewall", "backend": "iptables"},
)


# busybox's own wget, linked statically, does not survive its resolver.
FETCH = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2) as connection:
    connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(connection.makefile().read().rpartition("\\n\\n")[2], end="")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """How a runtime makes a pod and stops it."""

    run: Callable[[str], RuntimePod]
    stop: Callable[[RuntimePod], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node with all runtimes."""

    host: RuntimeNode
    containerd: Containerd
    podman: Podman

    def runtime(self, name: str) -> Runtime:
        """Return one of RUNTIMES."""
        if name == "ctr":
            return Runtime(run=self.containerd.ctr_run, stop=self.containerd.ctr_stop)
        if name == "podman":
            return Runtime(run=self.podman.run, stop=self.podman.stop)

        def stop(pod: RuntimePod) -> None:
            self.containerd.stop_sandbox(pod)
            self.containerd.remove_sandbox(pod)

        return Runtime(run=self.containerd.run_sandbox, stop=stop)


RUNTIMES = ("cri", "ctr", "podman")


def machine(
    folder: pytest.TempPathFactory, name: str, plugins: Sequence[dict[str, Any]]
) -> Iterator[Machine]:
    with runtime_node(folder.mktemp(name), name, plugins) as host:
        containerd = Containerd(host)
        containerd.start()
        yield Machine(host=host, containerd=containerd, podman=Podman(host))
        containerd.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from machine(tmp_path_factory, "plain", PLAIN)


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from machine(tmp_path_factory, "chained", CHAIN)


def ping(machine: Machine, pod: RuntimePod, address: str) -> None:
    """Send one echo request; it must be answered."""
    machine.host.in_pod(pod, "ping", "-c", "1", "-W", "2", address)


def serve(machine: Machine, pod: RuntimePod, text: str) -> subprocess.Popen[str]:
    """Serve *text* on port 8080 of the pod, both families."""
    folder = f"/run/www-{pod.name}"
    machine.host.node.run(["sh", "-ec", f"mkdir -p {folder}; echo {text} > {folder}/index.html"])
    argv = ["nsenter", "-t", str(pod.pid), "-n", "busybox", "httpd", "-f", "-p", "[::]:8080"]
    return machine.host.node.popen([*argv, "-h", folder])


def get(machine: Machine, address: str, port: int, pod: RuntimePod | None = None) -> str:
    """Fetch the page from the node, or from a pod; "" if nobody answers."""
    argv = [sys.executable, "-I", "-S", "-c", FETCH, address, str(port)]
    if pod is not None:
        return machine.host.in_pod(pod, *argv, check=False)
    return machine.host.node.run(argv, check=False).stdout


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_pod_has_what_its_runtime_reports_until_it_stops(plain: Machine, name: str) -> None:
    runtime = plain.runtime(name)
    pod = runtime.run(f"report-{name}")
    assert [address.version for address in pod.addresses] == [4, 6]
    assert plain.host.addresses_in(pod) == pod.addresses
    for family, address in NODE_ADDRESSES.items():
        ping(plain, pod, address)
        plain.host.node.run(["ping", "-c", "1", "-W", "2", pod.address(family)])
    runtime.stop(pod)
    assert plain.host.leftovers(pod.addresses) == []
    assert plain.host.spooled() == []


def test_a_pod_of_each_runtime_reaches_a_pod_of_every_other(plain: Machine) -> None:
    pods = {name: plain.runtime(name).run(f"mesh-{name}") for name in RUNTIMES}
    for left, right in itertools.permutations(pods.values(), 2):
        for family in (4, 6):
            ping(plain, left, right.address(family))
    for name, pod in pods.items():
        plain.runtime(name).stop(pod)
    assert plain.host.leftovers() == []


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_pod_stopped_without_a_server_is_removed_by_the_next_one(
    plain: Machine, name: str
) -> None:
    runtime = plain.runtime(name)
    pod = runtime.run(f"spool-{name}")
    # A process that stays keeps the namespace, so that the kernel does not clean up by itself.
    enter = ["nsenter", "-t", str(pod.pid), "-n"]
    staying = plain.host.node.popen(
        [*enter, "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE
    )
    assert staying.stdout is not None
    staying.stdout.readline()
    plain.host.cni.kill()
    runtime.stop(pod)
    assert len(plain.host.spooled()) >= 1
    assert plain.host.leftovers(pod.addresses) != []
    plain.host.cni.start()
    plain.host.wait_ready()
    wait_until(
        lambda: plain.host.leftovers(pod.addresses) == [], deadline_s=5, what="the replayed DEL"
    )
    assert plain.host.spooled() == []
    with staying:
        staying.kill()


def test_a_sandbox_without_a_server_waits_for_it(plain: Machine) -> None:
    plain.host.cni.kill()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(plain.containerd.run_sandbox, "late")
        # The shim is there and waits: only now a server starts.
        wait_until(
            lambda: plain.host.node.run(["pgrep", "-x", "podroute"], check=False).stdout,
            deadline_s=10,
            what="the plugin runs",
        )
        assert not running.done()
        plain.host.cni.start()
        pod = running.result(timeout=20)
    assert plain.host.addresses_in(pod) == pod.addresses
    plain.runtime("cri").stop(pod)


@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
def test_every_version_the_runtimes_speak(plain: Machine, version: str) -> None:
    plain.host.write_conflist(version=version)
    try:
        for name in ("ctr", "podman"):
            runtime = plain.runtime(name)
            pod = runtime.run(f"v{version.replace('.', '')}-{name}")
            assert [address.version for address in pod.addresses] == [4, 6]
            assert plain.host.addresses_in(pod) == pod.addresses
            runtime.stop(pod)
    finally:
        plain.host.write_conflist()
    assert plain.host.leftovers() == []


def test_podman_asks_for_addresses(plain: Machine) -> None:
    mac = "c2:b0:57:49:47:f1"
    asked = ("--ip", "10.244.1.77", "--ip6", "fd00:244:1::77", "--mac-address", mac)
    pod = plain.podman.run("static", *asked)
    assert tuple(map(str, pod.addresses)) == ("10.244.1.77", "fd00:244:1::77")
    assert plain.host.addresses_in(pod) == pod.addresses
    assert mac in plain.host.in_pod(pod, "ip", "link", "show", "eth0")
    for address in NODE_ADDRESSES.values():
        ping(plain, pod, address)
    with pytest.raises(NodeError, match=r"10\.244\.1\.77"):
        plain.podman.run("second", "--ip", "10.244.1.77")
    plain.podman.podman("rm", "--force", "second", check=False)
    plain.podman.stop(pod)
    again = plain.podman.run("again", *asked)
    assert again.addresses == pod.addresses
    plain.podman.stop(again)
    assert plain.host.leftovers(again.addresses) == []


def test_podman_publishes_a_port(chained: Machine) -> None:
    pod = chained.podman.run("web", "-p", "18080:8080", "-p", "[::]:18080:8080")
    other = chained.podman.run("browser")
    server = serve(chained, pod, "podman-web")
    for family, address in NODE_ADDRESSES.items():
        assert_served(chained, "podman-web", address, None)
        assert_served(chained, "podman-web", address, other)
        assert get(chained, pod.address(family), 8080, other) == "podman-web\n"
    server.kill()
    server.wait()
    for each in (pod, other):
        chained.podman.stop(each)
    assert chained.host.leftovers([*pod.addresses, *other.addresses]) == []
    assert nat_rules(chained) == ""


def test_containerd_publishes_a_port_and_limits_bandwidth(chained: Machine) -> None:
    pod = chained.containerd.run_sandbox(
        "cri-web",
        port_mappings=[{"container_port": 8080, "host_port": 18080}],
        annotations={"kubernetes.io/ingress-bandwidth": "10M"},
        dns_config={"servers": ["10.96.0.10"], "searches": ["test.local"]},
    )
    assert chained.host.addresses_in(pod) == pod.addresses
    assert "tbf" in chained.host.node.run(["tc", "qdisc", "show"]).stdout
    server = serve(chained, pod, "cri-web")
    for address in NODE_ADDRESSES.values():
        assert_served(chained, "cri-web", address, None)
    server.kill()
    server.wait()
    chained.runtime("cri").stop(pod)
    assert chained.host.leftovers(pod.addresses) == []
    assert nat_rules(chained) == ""


def assert_served(machine: Machine, text: str, address: str, pod: RuntimePod | None) -> None:
    """Fetch a published page; the server needs a moment to listen."""
    wait_until(
        lambda: get(machine, address, 18080, pod) == f"{text}\n",
        deadline_s=5,
        what=f"{address} from {pod.name if pod else 'the node'}",
    )


def nat_rules(machine: Machine) -> str:
    """Return the rules of single containers that portmap has left."""
    rules = machine.host.node.run(["nft", "list", "ruleset"]).stdout
    return "\n".join(line for line in rules.splitlines() if "CNI-DN-" in line)


def seen() -> set[str]:
    """Return what runtimes could leave beside what Snapshot looks at."""
    folders = [Path(name) for name in ("/dev/shm", "/run", "/var/lib", "/var/lib/containers")]
    hierarchies = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
    places = [*folders, *(path for path in hierarchies if path.is_dir())]
    return {str(path) for place in places if place.is_dir() for path in place.iterdir()}


def test_running_pods_leave_nothing_when_their_node_ends(tmp_path: Path) -> None:
    before, seen_before = Snapshot.take(), seen()
    with runtime_node(tmp_path, "leaving") as host:
        containerd = Containerd(host)
        containerd.start()
        everything = Machine(host=host, containerd=containerd, podman=Podman(host))
        for name in RUNTIMES:
            everything.runtime(name).run(f"stays-{name}")
        spaces = namespaces_of([host.node.pid])
        containerd.close()
    assert left_behind(before, spaces) == ()
    assert seen() <= seen_before
