"""`podroute uninstall` on a node whose daemons ran: nothing of podroute stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from containerlab.demo.daemon import PODROUTE
from containerlab.demo.fabric import TOPOLOGY, Fabric, Host
from containerlab.netlab import Lab
from containerlab.netlab.node import Node

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CHANGED = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.fib_multipath_hash_policy": "0",
    "net.ipv6.fib_multipath_hash_policy": "0",
    "net.ipv4.conf.eth1.rp_filter": "1",
}


def state(node: Node) -> dict[str, str]:
    """Return everything a removal must put back, by what it is."""
    commands = {
        "routes": "ip -4 route show table all; ip -6 route show table all",
        "nexthops": "ip nexthop",
        "rules": "ip rule; ip -6 rule",
        "links": "ip -br link | sed 's/@.*//'",
        "nft": "nft list ruleset",
        "plugin": "ls -A /opt/cni/bin /etc/cni/net.d",
        "run": "ls -A /run/podroute 2>/dev/null",
        "sysctls": "cd /proc/sys/net && grep -r . ipv4/conf ipv6/conf ipv4/ip_forward"
        " ipv4/fib_multipath_hash_policy ipv6/fib_multipath_hash_policy 2>/dev/null"
        " | grep -v -e stable_secret -e /pod | sort",
    }
    return {
        name: node.run(["sh", "-c", command], check=False).stdout
        for name, command in commands.items()
    }


@dataclass(slots=True, kw_only=True)
class Site:
    """node1 before it had podroute, and with it."""

    host: Host
    before: dict[str, str] = field(default_factory=dict)

    def uninstall(self, *arguments: str) -> tuple[int, str]:
        done = self.host.node.run([PODROUTE, "uninstall", *arguments], check=False, timeout_s=30)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def site() -> Iterator[Site]:
    with Lab.up(TOPOLOGY) as lab:
        node = lab.nodes["node1"]
        script = "mkdir -p /opt/cni/bin /etc/cni/net.d; rm -rf /opt/cni/bin/* /etc/cni/net.d/*"
        node.run(["sh", "-c", script])
        for key, value in CHANGED.items():
            node.run(["sysctl", "-qw", f"{key}={value}"])
        before = state(node)
        fabric = Fabric(lab)
        node.run([PODROUTE, "cni", "install"])
        host = fabric.hosts[0]
        host.cni.start()
        host.agent.start()
        fabric.wait_fresh(host, since_epoch=0)
        yield Site(host=host, before=before)


def test_nothing_stays(site: Site) -> None:
    node = site.host.node
    lives = site.host.runtime.make_pod("lives")
    lost = site.host.runtime.make_pod("lost")
    code, said = site.uninstall()
    assert (code, "another route agent" in said) == (1, True), said
    site.host.agent.terminate()
    site.host.cni.terminate()
    changed = json.loads(node.run(["cat", "/run/podroute/sysctls.json"]).stdout)
    assert {entry["key"].replace("/", ".") for entry in changed["sysctls"]} == set(CHANGED)
    code, said = site.uninstall()
    assert (code, "nothing was removed" in said) == (1, True), said
    assert node.run(["ls", "/opt/cni/bin"]).stdout.split() == ["podroute", "podroute-ipam"]
    # One pod is deleted; of the other the runtime forgot everything, but a process keeps it.
    site.host.runtime.remove_pod(lives)
    keeper = node.popen(["ip", "netns", "exec", lost.name, "sleep", "1000"])
    node.run(["ip", "netns", "delete", lost.name])
    code, said = site.uninstall()
    assert code == 0, said
    after = state(node)
    assert after == site.before
    keeper.kill()
    keeper.wait()


def test_all_pods_removes_living_ones_too_and_a_second_run_finds_nothing(site: Site) -> None:
    site.host.runtime.make_pod("lives")
    site.host.agent.terminate()
    site.host.cni.terminate()
    code, said = site.uninstall("--all-pods")
    assert code == 0, said
    assert "removed pod link pod" in said
    site.host.node.run(["ip", "netns", "delete", "lives"])
    assert state(site.host.node) == site.before
    code, said = site.uninstall()
    assert (code, said.splitlines()[-1]) == (0, "removed everything in /run/podroute")
