"""podroute-ipam under Debian's ptp, bridge and macvlan: real plugins, real server, real kernel."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.cni_node import RUN_DIR, Answer, CniNode, build_shim
from tests.support.netns import Namespace
from tests.support.wait import NotYetError, wait_until

PLUGINS = "/usr/lib/cni"

pytestmark = [pytest.mark.netns, pytest.mark.needs(f"{PLUGINS}/ptp")]


class DelegatingNode(CniNode):
    """A node whose plugin is another one, with podroute-ipam as its delegate."""

    ipam_dir: Path

    def delegate(
        self, plugin: dict[str, Any], command: str, sandbox: str, **options: Any
    ) -> Answer:
        """Execute a plugin of Debian's."""
        changes = options.pop("changes", {})
        config = {
            "cniVersion": "1.0.0",
            "name": f"net-{plugin['type']}",
            "ipam": {"type": "podroute-ipam", **options.pop("ipam", {})},
            **plugin,
            **options,
        }
        done = self.namespace.run(
            [f"{PLUGINS}/{plugin['type']}"],
            check=False,
            env=self.environment(
                command, sandbox, CNI_PATH=f"{self.ipam_dir}:{PLUGINS}", **changes
            ),
            input=json.dumps(config),
        )
        return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def ipam(self, command: str, sandbox: str, ipam: Any = None, **config: Any) -> Answer:
        """Execute podroute-ipam itself."""
        body = {
            "cniVersion": "1.1.0",
            "name": "n",
            "type": "ptp",
            "ipam": {"type": "podroute-ipam", **(ipam or {})},
            **config,
        }
        done = self.namespace.run(
            [self.ipam_dir / "podroute-ipam"],
            check=False,
            env=self.environment(command, sandbox),
            input=json.dumps(body),
        )
        return Answer(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def leases(self) -> list[dict[str, Any]]:
        """Return the leases of containers, as they stand under /run."""
        listed = self.namespace.run(
            ["sh", "-c", f"for f in {RUN_DIR}/leases/*; do cat $f; echo; done"], check=False
        ).stdout
        records = [json.loads(line) for line in listed.splitlines() if line.strip()]
        return [record for record in records if record["container_id"]]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shim")
    shutil.copy(build_shim(directory), directory / "podroute-ipam")
    return directory


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace], programs: Path) -> Iterator[DelegatingNode]:
    node = DelegatingNode(make_namespace("node1"), programs / "podroute")
    node.ipam_dir = programs
    with contextlib.closing(node):
        node.facts("10.244.1.0/24", "fd00:244:1::/64")
        node.start()
        for name in ("a", "b"):
            node.sandbox(name)
        yield node


PTP = {"type": "ptp"}
BRIDGE = {"type": "bridge", "bridge": "cni0", "isGateway": True, "isDefaultGateway": True}


@pytest.mark.parametrize("plugin", [PTP, BRIDGE], ids=["ptp", "bridge"])
@pytest.mark.parametrize("version", ["0.3.1", "0.4.0", "1.0.0"])
def test_two_containers_reach_each_other(
    node: DelegatingNode, plugin: dict[str, Any], version: str
) -> None:
    added = [node.delegate(plugin, "ADD", name, cniVersion=version) for name in ("a", "b")]
    for answer in added:
        assert answer.exit_code == 0, answer.stdout + node.log()
    addresses = [answer.addresses for answer in added]
    assert len({*addresses[0], *addresses[1]}) == 4
    # A gateway of each family besides, one for both containers.
    for address in addresses[1]:
        wait_until(
            lambda address=address: _pings(node, "a", address),
            deadline_s=5,
            what=f"a reaches {address}",
        )
        source = "10.255.1.1" if "." in address else "fd00:255:1::1"
        # The bridge plugin's own addresses go through duplicate address detection.
        wait_until(
            lambda source=source: _pings(node, "b", source), deadline_s=5, what="b reaches the node"
        )
    if version != "0.3.1":
        checked = node.delegate(plugin, "CHECK", "a", cniVersion=version, prevResult=added[0].body)
        assert checked.exit_code == 0, checked.stdout
    assert len(node.leases()) == 2
    for name in ("a", "a", "b"):
        assert node.delegate(plugin, "DEL", name, cniVersion=version).exit_code == 0
    assert node.leases() == []


def _pings(node: CniNode, sandbox: str, address: str) -> bool:
    done = node.in_pod(sandbox, "ping", "-c", "1", "-W", "1", address, check=False)
    if " 0% packet loss" not in done:
        raise NotYetError(done)
    return True


def test_macvlan(node: DelegatingNode) -> None:
    node.namespace.run(["ip", "link", "add", "uplink", "type", "veth", "peer", "name", "wire"])
    for link in ("uplink", "wire"):
        node.namespace.run(["ip", "link", "set", link, "up"])
    plugin = {"type": "macvlan", "master": "uplink"}
    added = [
        node.delegate(plugin, "ADD", name, ipam={"subnets": ["10.244.1.64/26"]}) for name in "ab"
    ]
    for answer in added:
        assert answer.exit_code == 0, answer.stdout + node.log()
    ((first,), (second,)) = (answer.addresses for answer in added)
    assert first in node.in_pod("a", "ip", "addr", "show", "eth0")
    assert f"default via {added[0].body['ips'][0]['gateway']}" in node.in_pod("a", "ip", "route")
    # Macvlan's own bridge mode passes between its children.
    assert _pings(node, "a", second)
    for name in "ab":
        assert node.delegate(plugin, "DEL", name).exit_code == 0
    assert node.leases() == []


def test_pod_links_and_leases_share_the_addresses(node: DelegatingNode) -> None:
    pods = set(node.add("a").addresses)
    lease = node.delegate(PTP, "ADD", "b")
    gateways = {ip["gateway"] for ip in lease.body["ips"]}
    assert len(pods | set(lease.addresses) | gateways) == 6
    body = node.call("ADD", "c", CNI_ARGS=f"IP={lease.addresses[0]}", CNI_NETNS="/run/netns/b").body
    assert body["code"] == 105


def test_addresses_by_name_subnets_gateways_and_routes(node: DelegatingNode) -> None:
    ipam = {
        "subnets": ["10.244.1.128/26"],
        "gateways": ["10.244.1.129"],
        "reserved": ["10.244.1.128/30"],
        "routes": [{"dst": "10.0.0.0/8"}],
    }
    body = node.ipam("ADD", "a", ipam).body
    assert body["ips"] == [{"address": "10.244.1.132/26", "gateway": "10.244.1.129"}]
    assert body["routes"] == [{"dst": "10.0.0.0/8"}]
    assert "interfaces" not in body
    named = node.ipam("ADD", "b", ipam, args={"cni": {"ips": ["10.244.1.150"]}}).body
    assert named["ips"][0]["address"] == "10.244.1.150/26"
    outside = node.ipam("ADD", "c", ipam, args={"cni": {"ips": ["10.244.1.9"]}})
    assert outside.body["code"] == 4
    node.sandbox("c")
    assert node.ipam("ADD", "c", ipam, args={"cni": {"ips": ["10.244.1.9"]}}).body["code"] == 106
    assert node.ipam("ADD", "a", ipam).body["code"] == 100
    assert len(node.leases()) == 2


def test_check_gc_and_status(node: DelegatingNode) -> None:
    result = node.ipam("ADD", "a").body
    node.ipam("ADD", "b")
    assert node.ipam("CHECK", "a", prevResult=result).exit_code == 0
    wrong = {**result, "ips": result["ips"][1:]}
    assert node.ipam("CHECK", "a", prevResult=wrong).body["code"] == 104
    assert node.ipam("CHECK", "c", prevResult=result).body["code"] in (3, 4)
    valid = [{"containerID": "container-a", "ifname": "eth0"}]
    assert node.ipam("GC", "a").body["code"] == 7
    assert node.ipam("GC", "a", **{"cni.dev/valid-attachments": valid}).exit_code == 0
    assert [lease["container_id"] for lease in node.leases()] == ["container-a"]
    other = {"name": "other", "cni.dev/valid-attachments": []}
    assert node.ipam("GC", "a", **other).exit_code == 0
    assert len(node.leases()) == 1
    assert node.ipam("STATUS", "a").exit_code == 0
    node.facts("10.244.1.0/30")
    node.ipam("ADD", "b")
    assert node.ipam("STATUS", "a").body["code"] == 50
    assert node.ipam("VERSION", "a").body["supportedVersions"][-1] == "1.1.0"
    assert node.ipam("ADD", "a", {"type": "host-local"}).body["code"] == 7


def test_a_lease_ends_with_its_sandbox(node: DelegatingNode) -> None:
    node.ipam("ADD", "a")
    node.ipam("ADD", "b")
    node.namespace.run(["ip", "netns", "del", "a"])

    def one_is_left() -> bool:
        left = [lease["container_id"] for lease in node.leases()]
        if left != ["container-b"]:
            raise NotYetError(left)
        return True

    wait_until(one_is_left, deadline_s=15, what="the lease of the sandbox that ended is gone")


def test_leases_outlive_the_server_and_a_del_without_it(node: DelegatingNode) -> None:
    first = node.ipam("ADD", "a").addresses
    gateway = node.ipam("ADD", "b").body["ips"][0]["gateway"]
    os.kill(node.server_pid, signal.SIGKILL)
    assert node.server is not None
    node.server.wait(timeout=10)
    assert node.ipam("DEL", "a").exit_code == 0
    node.start()
    wait_until(lambda: len(node.leases()) == 1, deadline_s=5, what="the spooled DEL is done")
    again = node.ipam("ADD", "a").body
    assert again["ips"][0]["gateway"] == gateway
    assert {ip["address"].split("/")[0] for ip in again["ips"]}.isdisjoint(first)


def test_twenty_at_once(node: DelegatingNode) -> None:
    names = [f"p{number}" for number in range(20)]
    for name in names:
        node.sandbox(name)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda name: node.ipam("ADD", name), names))
    assert len({address for answer in answers for address in answer.addresses}) == 40
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda name: node.ipam("DEL", name), names))
    assert node.leases() == []
