"""Rows 7 and 8: a ToR that is lost and comes back, and one that announces what it must not."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_network

from containerlab.demo.fabric import wait_for
from containerlab.demo.tor import Tor, packets_sent
from containerlab.failures.kernel import has, routes_of
from containerlab.failures.scenario import Outcome, Scenario
from containerlab.failures.scene import Scene, worst_gap_s
from containerlab.measure.check import at_most
from containerlab.netlab.node import Node

LOST_S = 1.0
AWAY_S = 1.5
LEAST_CARRIED = 200
GOOD = ("10.244.77.0/24", "fd00:244:77::/64")
"""What a ToR may announce: the sign that its other announcements arrive as well."""
BAD = {
    4: ("0.0.0.0/0", "10.0.1.2/31", "10.244.1.0/24", "10.244.1.128/25", "10.240.0.0/12"),
    6: ("::/0", "fd00:0:1::2/127", "fd00:244:1::/64", "fd00:244:1:0:8000::/65", "fd00:240::/28"),
}
FOREIGN_DEFAULT = ("default", "via", "10.0.2.2", "dev", "eth2", "metric", "100")


def _lose_tor(scene: Scene) -> Outcome:
    """Cut all links of tor1 and kill its BGP, then bring it back."""
    tor = scene.fabric.tors[0].node
    gaps: list[float] = []
    carried: list[int] = []
    idle = sum(packets_sent(tor).values())

    def breaking() -> None:
        carried.append(sum(packets_sent(tor).values()) - idle)
        for link in tor.interfaces.values():
            link.down()
        tor.run(["sh", "-c", 'kill -KILL "$(pidof bgpd)"'])
        time.sleep(AWAY_S)

    outcome, results = scene.under_traffic(breaking)
    gaps.append(worst_gap_s(results))

    def mending() -> None:
        _start_bgp(scene.fabric.tors[0])
        for link in tor.interfaces.values():
            link.up()
        scene.wait_whole()

    back, results = scene.under_traffic(mending)
    gaps.append(worst_gap_s(results))
    return Outcome(
        seconds=round(max(gaps), 2),
        lost=(outcome.lost or 0) + (back.lost or 0),
        sent=outcome.sent + back.sent,
        note=f"lost when it went {outcome.lost}, when it came back {back.lost};"
        f" all sessions and legs back {back.seconds:.1f} s after its power",
        faults=(
            *outcome.faults,
            *back.faults,
            *(() if carried[0] > LEAST_CARRIED else (f"tor1 carried {carried[0]} packets before",)),
        ),
    )


def _start_bgp(tor: Tor) -> None:
    """Start bgpd as FRR's own script does: the daemon, then the integrated configuration."""
    tor.node.run(["/usr/lib/frr/bgpd", "-d", "-A", "127.0.0.1"])
    tor.node.run(["vtysh", "-b"], timeout_s=30)


def _announce_wrongly(scene: Scene) -> Outcome:
    """Let tor1 announce a default, the link's subnet, node1's own CIDR and what covers it."""
    host, tor = scene.fabric.hosts[0], scene.fabric.tors[0]
    # A ToR that announces node1's CIDR as its own must still forward to it.
    for cidr, gateway in (("10.244.1.0/24", "10.0.1.3"), ("fd00:244:1::/64", "fd00:0:1::3")):
        tor.node.run(["ip", "route", "replace", cidr, "via", gateway, "metric", "5"])
    host.node.run(["ip", "route", "add", *FOREIGN_DEFAULT])
    before = routes_of(host.node)

    def breaking() -> None:
        configure(tor, ["no bgp network import-check"], permit=True)
        _networks(tor, add=True)
        wait_for(lambda: _lacks(host.node, GOOD), deadline_s=10, what="the announcements of tor1")
        during = routes_of(host.node, leaving_out=GOOD)
        _networks(tor, add=False)
        wait_for(
            lambda: "" if _lacks(host.node, GOOD) == " ".join(GOOD) else "still there",
            deadline_s=10,
            what="tor1's withdrawals",
        )
        if during != before:
            wrong.append(f"with the announcements: {_difference(before, during)}")
        if (after := routes_of(host.node)) != before:
            wrong.append(f"after their withdrawal: {_difference(before, after)}")

    wrong: list[str] = []
    try:
        outcome, _ = scene.under_traffic(breaking)
    finally:
        configure(tor, ["bgp network import-check"], permit=False)
        for cidr in ("10.244.1.0/24", "fd00:244:1::/64"):
            tor.node.run(["ip", "route", "delete", cidr, "metric", "5"])
        host.node.run(["ip", "route", "delete", *FOREIGN_DEFAULT])
    return Outcome(lost=outcome.lost, sent=outcome.sent, faults=(*outcome.faults, *wrong))


def _networks(tor: Tor, *, add: bool) -> None:
    word = "network" if add else "no network"
    lines = []
    for family, good in zip((4, 6), GOOD, strict=True):
        lines += [f"address-family ipv{family} unicast"]
        lines += [f"{word} {ip_network(cidr)}" for cidr in (*BAD[family], good)]
        lines += ["exit-address-family"]
    configure(tor, lines)


def configure(tor: Tor, lines: Sequence[str], *, permit: bool | None = None) -> None:
    """Enter lines below `router bgp`; let everything out to the nodes, or no longer."""
    commands = ["configure terminal"]
    if permit is not None:
        word = "" if permit else "no "
        commands += [
            f"{word}ip prefix-list FABRIC seq 1 permit 0.0.0.0/0 le 32",
            f"{word}ipv6 prefix-list FABRIC seq 1 permit ::/0 le 128",
        ]
    commands += ["router bgp 65101", *lines]
    tor.node.run(["vtysh", *(word for line in commands for word in ("-c", line))])


def _lacks(node: Node, cidrs: Sequence[str]) -> str:
    """Return which of these the node's kernel has no route to."""
    return " ".join(cidr for cidr in cidrs if not has(node, cidr))


def _difference(before: frozenset[str], after: frozenset[str]) -> str:
    gone, new = sorted(before - after), sorted(after - before)
    return f"gone {gone}, new {new}"


SCENARIOS = (
    Scenario(
        row="7",
        name="tor_lost_and_back",
        broken="one ToR of two loses all its links, its BGP is killed; later it comes back",
        rule="no flow is silent for more than 1 s, neither when it goes nor when it returns",
        timed="worst flow",
        run=_lose_tor,
        seconds=at_most(LOST_S),
    ),
    Scenario(
        row="8",
        name="wrong_announcements",
        broken="a ToR announces 0/0, its link's subnet, the node's own CIDR, a part of it and a"
        " supernet, then withdraws them",
        rule="the node's kernel has the same routes as before, a foreign default route included; an"
        " allowed prefix announced beside them arrives",
        run=_announce_wrongly,
    ),
)
