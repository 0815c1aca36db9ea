"""A ToR whose bgpd is killed -9 and comes back: its routes never leave the nodes' kernels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from containerlab.demo.fabric import TOPOLOGY, Fabric, usable_legs
from containerlab.netlab import Lab
from containerlab.netlab.node import Node
from tests.support.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
CONFIG = "/run/frr/graceful.conf"
# tor1's own address. The other routes of tor1 it announces anew with longer AS paths at first, as
# long as it has not heard the nodes again.
ONLY_OF_TOR1 = ("10.255.0.1 ", "fd00:255::1 ")
# FRR 8.4 says that it keeps its forwarding state only if told so.
GRACEFUL = " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n"


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with Lab.up(TOPOLOGY) as lab:
        made = Fabric(lab)
        made.wait_routers()
        restart(made.tors[0].node)
        for host in made.hosts:
            host.agent.start()
        for host in made.hosts:
            made.wait_whole(host)
        yield made


def restart(tor: Node) -> None:
    """Kill -9 a ToR's bgpd and start it anew, with graceful restart."""
    text = tor.run(["cat", "/etc/frr/frr.conf"]).stdout
    wanted = ("frr defaults", "hostname", "log file", "ip prefix-list", "ipv6 prefix-list")
    lists = "".join(line for line in text.splitlines(keepends=True) if line.startswith(wanted))
    first, _, rest = text[text.index("router bgp ") :].partition("\n")
    tor.run(["tee", CONFIG], input=f"{lists}{first}\n{GRACEFUL}{rest}")
    pid = tor.run(["pidof", "bgpd"]).stdout.strip()
    tor.run(["kill", "-KILL", pid])
    wait_until(
        lambda: pid not in tor.run(["pidof", "bgpd"], check=False).stdout.split(),
        deadline_s=5,
        what="bgpd is dead",
    )
    tor.run(["/usr/lib/frr/bgpd", "-d", "-A", "127.0.0.1", "-f", CONFIG])


def test_routes_of_a_restarting_tor_stay_in_the_kernel(fabric: Fabric) -> None:
    host = fabric.hosts[0]
    assert all(usable_legs(host.node, ip_network(name.strip())) == 1 for name in ONLY_OF_TOR1)
    monitor = host.node.popen(
        ["ip", "monitor", "route", "nexthop"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    before = ups(fabric)

    restart(fabric.tors[0].node)

    wait_until(lambda: is_back(fabric, before), deadline_s=30, what="both sessions are back")
    wait_until(lambda: stale(fabric) == 0, deadline_s=60, what="nothing is stale")
    fabric.wait_whole(host)
    host.node.run(["pkill", "-TERM", "-x", "ip"])
    changes = monitor.communicate(timeout=10)[0]
    assert not [line for line in changes.splitlines() if line.startswith("Deleted")], changes
    assert not [line for line in changes.splitlines() if line.startswith(ONLY_OF_TOR1)], changes


def peers(fabric: Fabric) -> list[dict[str, object]]:
    told = json.loads(fabric.hosts[0].podroute("peers", "-o", "json"))["peers"]
    return [peer for peer in told if peer["name"].startswith("tor1")]


def is_back(fabric: Fabric, before: int) -> bool:
    return ups(fabric) >= before + 2 and all(p["state"] == "established" for p in peers(fabric))


def ups(fabric: Fabric) -> int:
    """Count how often the sessions with tor1 have been established."""
    return sum(
        int(str(peer["times_down"])) + (peer["state"] == "established") for peer in peers(fabric)
    )


def stale(fabric: Fabric) -> int:
    return sum(
        family["stale"]
        for peer in peers(fabric)
        for family in peer["families"].values()  # type: ignore[attr-defined]
    )
