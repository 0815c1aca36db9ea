"""The fabric dual-tor with real FRR routers; a stock ExaBGP stands in for podroute on the nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from containerlab.netlab import Lab, Node
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.needs("nft", "ping")]
FILE = Path(__file__).resolve().parents[2] / "containerlab/dual-tor/dual-tor.clab.yml"
EXABGP_ENV = {
    "exabgp_api_cli": "false",
    "exabgp_daemon_drop": "false",
    "exabgp_log_level": "ERROR",
}
FAMILIES = ("-4", "-6")


def pod_cidr(family: str, number: int) -> str:
    return f"10.244.{number}.0/24" if family == "-4" else f"fd00:244:{number}::/64"


def loopback(family: str, number: int) -> str:
    return f"10.255.1.{number}" if family == "-4" else f"fd00:255:1::{number}"


def transfer(family: str, tor: int, host: int) -> str:
    return f"10.0.{tor}.{host}" if family == "-4" else f"fd00:0:{tor}::{host}"


@dataclass
class Speaker:
    """ExaBGP on one node: both ToRs over both families, and a default route to both."""

    lab: Lab
    number: int
    process: subprocess.Popen[str] | None = field(default=None)

    @property
    def node(self) -> Node:
        return self.lab.nodes[f"node{self.number}"]

    def start(self) -> None:
        self.node.run(["sh", "-c", "cat > /run/exabgp.conf"], input=self.configuration())
        exabgp = Path(sys.executable).with_name("exabgp")
        self.process = self.node.popen(
            [exabgp, "server", "/run/exabgp.conf"],
            env=EXABGP_ENV,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def configuration(self) -> str:
        text = ""
        for tor in (1, 2):
            for family in FAMILIES:
                length = 32 if family == "-4" else 128
                networks = (
                    pod_cidr(family, self.number),
                    f"{loopback(family, self.number)}/{length}",
                )
                routes = " ".join(f"route {network} next-hop self;" for network in networks)
                text += f"""
neighbor {transfer(family, tor, 2 * self.number)} {{
  router-id {loopback("-4", self.number)};
  local-address {transfer(family, tor, 2 * self.number + 1)};
  local-as {65200 + self.number}; peer-as {65100 + tor}; hold-time 9;
  family {{ ipv{family[1]} unicast; }}
  capability {{ graceful-restart 120; }}
  static {{ {routes} }}
}}
"""
        return text

    def add_default_routes(self) -> None:
        """By nexthop groups: the kernel skips a leg without carrier by itself."""
        for family in FAMILIES:
            ids = [int(family[1]) * 10 + tor for tor in (1, 2)]
            for tor, number in zip((1, 2), ids, strict=True):
                via = transfer(family, tor, 2 * self.number)
                self.ip("nexthop", "add", "id", f"{number}", "via", via, "dev", f"eth{tor}")
            group = f"{ids[0]}/{ids[1]}"
            self.ip("nexthop", "add", "id", family[1], "group", group)
            source = loopback(family, self.number)
            self.ip(family, "route", "add", "default", "nhid", family[1], "src", source)

    def ip(self, *words: str) -> None:
        self.node.run(["ip", *words])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    lab: Lab
    speakers: tuple[Speaker, ...]

    def legs(self, router: str, family: str, prefix: str) -> frozenset[str]:
        """Return the devices *router*'s kernel uses for *prefix*."""
        text = self.lab.nodes[router].run(["ip", "-j", family, "route", "show", prefix]).stdout
        routes = json.loads(text or "[]")
        hops = [hop for route in routes for hop in route.get("nexthops", [route])]
        return frozenset(hop["dev"] for hop in hops)

    def wait_legs(self, router: str, devices: str, *, deadline_s: float, number: int = 1) -> None:
        """Wait until *router* reaches the pods of a node over *devices* in both families."""
        expected = frozenset(devices.split())
        for family in FAMILIES:
            wait_until(
                lambda family=family: (  # type: ignore[misc]
                    self.legs(router, family, pod_cidr(family, number)) == expected
                ),
                deadline_s=deadline_s,
                what=f"{router} reaches node{number} over {devices} (ip {family})",
            )

    def wait_session(self, tor: int, number: int) -> None:
        def is_established() -> bool:
            for family in FAMILIES:
                show = f"show bgp ipv{family[1]} unicast summary json"
                text = self.lab.nodes[f"tor{tor}"].run(["vtysh", "-c", show]).stdout
                peer = json.loads(text)["peers"][transfer(family, tor, 2 * number + 1)]
                if peer["state"] != "Established":
                    return False
            return True

        wait_until(is_established, deadline_s=20, what=f"tor{tor} and node{number} established")

    def ping(self, source: str, address: str) -> None:
        self.lab.nodes[source].run(["ping", "-c2", "-i0.2", "-W1", address])


@pytest.fixture(scope="module")
def rack() -> Iterator[Rack]:
    with Lab.up(FILE, {}) as lab:
        speakers = tuple(Speaker(lab, number) for number in (1, 2, 3))
        for speaker in speakers:
            speaker.start()
            speaker.add_default_routes()
        rack = Rack(lab=lab, speakers=speakers)
        settle(rack)
        yield rack


def settle(rack: Rack) -> None:
    """Wait for the state every test starts from: each router uses the shortest way, with ECMP."""
    for number in (1, 2, 3):
        for tor in ("tor1", "tor2"):
            rack.wait_legs(tor, f"eth{number}", number=number, deadline_s=20)
        rack.wait_legs("client", "eth1 eth2", number=number, deadline_s=20)


def test_the_client_reaches_each_node_over_both_tors(rack: Rack) -> None:
    settle(rack)
    for number in (1, 2, 3):
        for family in FAMILIES:
            rack.ping("client", loopback(family, number))


def test_nodes_reach_each_other_and_the_client(rack: Rack) -> None:
    settle(rack)
    for address in ("10.255.1.2", "fd00:255:1::2", "198.51.100.10", "2001:db8:51::10"):
        rack.ping("node1", address)


def test_a_tor_takes_only_pod_cidrs_and_node_addresses_from_a_node(rack: Rack) -> None:
    speaker = rack.speakers[2]
    speaker.kill()
    wrong = speaker.configuration().replace(
        "static {", "static { route 0.0.0.0/0 next-hop self; route 10.244.0.0/27 next-hop self;"
    )
    speaker.node.run(["sh", "-c", "cat > /run/wrong.conf"], input=wrong.split("neighbor fd00")[0])
    process = speaker.node.popen(
        [Path(sys.executable).with_name("exabgp"), "server", "/run/wrong.conf"],
        env=EXABGP_ENV,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    show = "show bgp ipv4 unicast summary json"

    def received() -> bool:
        text = rack.lab.nodes["tor1"].run(["vtysh", "-c", show]).stdout
        peer = json.loads(text)["peers"]["10.0.1.7"]
        return bool(peer["state"] == "Established" and peer["pfxRcd"] == 2)

    wait_until(received, deadline_s=20, what="tor1 accepted two prefixes")
    assert rack.legs("tor1", "-4", "0.0.0.0/0") == frozenset()
    assert rack.legs("tor1", "-4", "10.244.0.0/27") == frozenset()
    process.kill()
    process.wait()
    speaker.start()
    rack.wait_session(1, 3)
    settle(rack)


def test_a_tor_without_its_link_falls_back_through_the_client(rack: Rack) -> None:
    settle(rack)
    link = rack.lab.nodes["tor1"].interface("eth1")
    link.down()
    rack.wait_legs("tor1", "eth10", deadline_s=2)
    rack.wait_legs("client", "eth2", deadline_s=2)
    for address in ("10.255.1.1", "fd00:255:1::1"):
        rack.ping("tor1", address)
        rack.ping("client", address)
    link.up()
    settle(rack)


@pytest.mark.parametrize("cut", ["tor1:eth10", "client:eth1", "tor1:eth1", "node1:eth1"])
def test_both_legs_come_back_after_a_link_flap(rack: Rack, cut: str) -> None:
    """FRR 8.4 with kernel nexthop groups keeps one leg for ever after a flap."""
    settle(rack)
    node, _, name = cut.partition(":")
    link = rack.lab.nodes[node].interface(name)
    link.down()
    rack.wait_legs("client", "eth2", deadline_s=2)
    link.up()
    settle(rack)


@pytest.mark.parametrize("end", [Speaker.kill, lambda speaker: speaker.process.terminate()])
def test_graceful_restart_keeps_the_routes(rack: Rack, end: Callable[[Speaker], None]) -> None:
    settle(rack)
    monitors = [
        rack.lab.nodes[tor].popen(["ip", "monitor", "route"], stdout=subprocess.PIPE)
        for tor in ("tor1", "tor2")
    ]
    speaker = rack.speakers[0]
    end(speaker)
    assert speaker.process
    speaker.process.wait()

    def stale() -> bool:
        show = f"show bgp ipv4 unicast {pod_cidr('-4', 1)}"
        return "(stale)" in rack.lab.nodes["tor1"].run(["vtysh", "-c", show]).stdout

    wait_until(stale, deadline_s=5, what="tor1 holds node1's path as stale")
    speaker.start()
    for tor in (1, 2):
        rack.wait_session(tor, 1)
    wait_until(lambda: not stale(), deadline_s=5, what="node1's path is fresh again")
    for monitor in monitors:
        monitor.terminate()
        changes = monitor.communicate()[0]
        assert "Deleted 10.244.1.0/24" not in changes
        assert "Deleted fd00:244:1::/64" not in changes


@pytest.mark.slow
def test_a_silent_link_is_noticed_by_the_hold_time(rack: Rack) -> None:
    settle(rack)
    link = rack.lab.nodes["tor1"].interface("eth1")
    link.drop()
    link.other.drop()
    rack.wait_legs("tor1", "eth10", deadline_s=11)
    link.heal()
    link.other.heal()
    settle(rack)


def test_a_stopped_node_is_withdrawn() -> None:
    with Lab.up(FILE, {}) as lab:
        speaker = Speaker(lab, 2)
        speaker.start()
        rack = Rack(lab=lab, speakers=(speaker,))
        rack.wait_legs("client", "eth1 eth2", number=2, deadline_s=20)
        lab.nodes["node2"].stop()
        rack.wait_legs("tor1", "", number=2, deadline_s=2)
        rack.wait_legs("client", "", number=2, deadline_s=2)
