"""deploy/install.sh on a plain node: install, run, upgrade, remove; no network in the node."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from containerlab.demo.fabric import CONFIG, TOPOLOGY, wait_for
from containerlab.demo.tor import Tor
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from router.agent.app import LEFT_FOR_GOOD

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "deploy/install.sh"
PLACED = (
    "/opt/podroute/bin/podroute",
    "/opt/cni/bin/podroute",
    "/opt/cni/bin/podroute-ipam",
    "/etc/cni/net.d/05-podroute.conflist",
    "/etc/iproute2/rt_protos.d/podroute.conf",
    "/etc/systemd/system/podroute-bfd.service",
    "/etc/systemd/system/podroute-cni.service",
    "/etc/systemd/system/podroute-router.service",
)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a node without a network is given: our wheel and all that it needs."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    pip = [sys.executable, "-m", "pip", "--no-input"]
    lock = ROOT / "requirements/runtime.txt"
    for argv in (
        [*pip, "download", "-q", "--require-hashes", "-r", lock, "-d", folder],
        [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
    ):
        subprocess.run(argv, check=True, capture_output=True)
    return folder


@pytest.fixture
def node() -> Iterator[tuple[Lab, Node]]:
    with Lab.up(TOPOLOGY) as lab:
        node = lab.nodes["node1"]
        node.run(["sh", "-c", "rm -rf /opt/cni/bin/* /etc/cni/net.d/* /opt/podroute*"])
        yield lab, node


def there(node: Node) -> list[str]:
    return [path for path in PLACED if node.run(["test", "-e", path], check=False).returncode == 0]


def test_install_run_upgrade_remove(node: tuple[Lab, Node], wheelhouse: Path) -> None:
    lab, host = node
    # The node shows the checkout; the wheels come as an administrator's would.
    host.run(["mkdir", "-p", "/run/wheels"])
    for wheel in wheelhouse.iterdir():
        target = Path(f"/proc/{host.pid}/root/run/wheels/{wheel.name}")
        target.write_bytes(wheel.read_bytes())
    install = [str(INSTALL), "--wheelhouse", "/run/wheels"]
    said = host.run(install, timeout_s=120).stdout
    assert "installed: podroute " in said
    assert there(host) == list(PLACED)
    first = host.run(["readlink", "/opt/podroute"]).stdout
    # What the units run, as systemd is not there to do it.
    podroute = "/opt/podroute/bin/podroute"
    agent = host.popen([podroute, "router", "--config", CONFIG])
    server = host.popen([podroute, "cni"])
    tor = Tor(lab.nodes["tor1"])
    wait_for(
        lambda: "" if len(tor.established()) >= 4 else "no sessions yet",
        deadline_s=30,
        what="node1's sessions",
    )
    host.run(install, timeout_s=120)
    assert host.run(["readlink", "/opt/podroute"]).stdout != first
    assert host.run([podroute, "status"]).returncode == 0
    assert agent.poll() is None
    assert server.poll() is None
    server.terminate()
    server.wait(10)
    said = host.run([str(INSTALL), "--remove"], timeout_s=60).stdout
    assert "removed;" in said
    assert agent.wait(10) == LEFT_FOR_GOOD
    assert there(host) == []
    for command in (
        "ip route show proto 74",
        "ip nexthop",
        "ls -A /opt/cni/bin",
        "ls -d /opt/pod*",
    ):
        assert host.run(["sh", "-c", command], check=False).stdout == "", command
    assert host.run(["test", "-e", CONFIG]).returncode == 0
