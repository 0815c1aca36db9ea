"""Peers by interface with real FRR and BIRD: both receive paths, BFD, what cannot work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.bfd import BfdHost
from tests.support.bgp_fabric import OWN, THEIRS
from tests.support.netns import Namespace
from tests.support.unnumbered_fabric import PORT, Guards, UnnumberedFabric
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]
PASSWORD_FILE = "/run/password"
MakeUnnumbered = Callable[..., UnnumberedFabric]


@pytest.fixture
def make(make_namespace: Callable[[str], Namespace]) -> Iterator[MakeUnnumbered]:
    made: list[UnnumberedFabric] = []

    def build(**options: Any) -> UnnumberedFabric:
        made.append(UnnumberedFabric(make_namespace, **options))
        return made[-1]

    yield build
    for fabric in made:
        fabric.close()


@pytest.mark.parametrize("receive", ["stock", "fast"])
def test_both_families_over_one_session_with_each(make: MakeUnnumbered, receive: str) -> None:
    fabric = make()
    # As ToRs of some makers have it: the same address on every port.
    for tor in fabric.tors:
        fabric.set_link_local(tor, PORT, "fe80::1")
    agent = fabric.start(speaker={"receive": receive})

    agent.wait_established("tor1", "tor2")
    fabric.wait_legs("eth1", "eth2")
    for name in ("tor1", "tor2"):
        peer = agent.wait_peer(
            name,
            "everything announced",
            lambda p: all(f["end_of_rib_sent"] and f["announced"] for f in p["families"].values()),
        )
        assert peer["address"] == f"fe80::1%eth{name[-1]}"
        assert [f["accepted"] for f in peer["families"].values()] == [1, 1]
    own = fabric.node_address(fabric.node, "eth2")
    for prefix in OWN:
        shown = fabric.tors[1].run(["ip", "-6" if ":" in prefix else "-4", "route", "show", prefix])
        assert own in shown.stdout
    for prefix in THEIRS:
        paths = {
            path["next_hop"]
            for route in agent.ask("routes")["routes"]
            if route["prefix"] == prefix
            for path in route["paths"]
        }
        assert paths == {"fe80::1%eth1", "fe80::1%eth2"}
    assert agent.ask("status")["ok"], agent.ask("status")["reasons"]


def test_bfd_between_link_local_addresses_takes_a_silent_leg_out(make: MakeUnnumbered) -> None:
    fabric = make(bfd_interval_ms=100)
    with BfdHost(fabric.node):
        peers = fabric.document(bfd={"interval_ms": 100})["peers"]
        del peers[1]["bfd"]
        agent = fabric.start(peers=peers)
        agent.wait_established("tor1", "tor2")
        agent.wait_peer("tor1", "BFD up", lambda p: bool(p["bfd"]["state"] == "up"))
        fabric.wait_legs("eth1", "eth2")

        # Both carriers stay.
        fabric.tors[0].run(["nft", "-f", "-"], input=_DROP)
        silent = time.monotonic()
        fabric.wait_legs("eth2", deadline_s=3)
        assert time.monotonic() - silent < 1
        assert agent.peer("tor1")["bfd"]["last_down"]
        fabric.tors[0].run(["nft", "delete", "table", "netdev", "silent"])
        agent.wait_established("tor1")
        fabric.wait_legs("eth1", "eth2")


_DROP = f"""
table netdev silent {{
  chain in {{ type filter hook ingress device "{PORT}" priority -500; policy drop; }}
}}
"""


def test_a_tor_without_extended_next_hops_is_told(make: MakeUnnumbered) -> None:
    fabric = make()
    fabric.bird.extended = False
    agent = fabric.start()
    agent.wait_established("tor1")
    # BIRD sends such routes all the same, and ExaBGP ends the session with 3/9 for each attempt.
    reasons = agent.wait_status("tor2: it does not say that it takes IPv4 routes with IPv6 next")
    assert not any("tor1: it does not say" in reason for reason in reasons)


def test_two_links_with_the_same_two_addresses_are_told_and_one_is_used(
    make: MakeUnnumbered,
) -> None:
    fabric = make()
    for number, tor in enumerate(fabric.tors, 1):
        fabric.set_link_local(tor, PORT, "fe80::1")
        fabric.set_link_local(fabric.node, f"eth{number}", "fe80::a")
    agent = fabric.start()
    agent.wait_established("tor1")
    agent.wait_peer("tor2", "waiting", lambda p: "are those of eth1, too" in (p["reason"] or ""))
    agent.wait_status("tor2 waits on eth2", "give one of the links another link-local address")
    fabric.wait_legs("eth1")

    fabric.set_link_local(fabric.node, "eth2", "fe80::b")
    agent.wait_established("tor2")
    fabric.wait_legs("eth1", "eth2")


@pytest.mark.parametrize(
    ("guards", "dropped"),
    [
        pytest.param(Guards(password="word"), "TCPMD5NotFound", id="password"),
        pytest.param(Guards(ttl_security=True), "TCPMinTTLDrop", id="ttl"),
    ],
)
def test_sessions_are_guarded_as_those_between_other_addresses(
    make: MakeUnnumbered, guards: Guards, dropped: str
) -> None:
    fabric = make(guards=guards)
    for tor in fabric.tors:
        fabric.set_link_local(tor, PORT, "fe80::1")
    fabric.node.run(["tee", PASSWORD_FILE], input=guards.password)
    option = {"password_file": PASSWORD_FILE} if guards.password else {"ttl_security": True}
    agent = fabric.start(peers=fabric.document(**option)["peers"])
    agent.wait_established("tor1", "tor2")
    fabric.wait_legs("eth1", "eth2")

    # The control: without what they demand, no ToR has us, whatever we try.
    agent.write(fabric.document())
    for name in ("tor1", "tor2"):
        agent.wait_status(f"{name} is not established: ", deadline_s=30)
    for tor in fabric.tors:
        before = tcp_count(tor, dropped)
        wait_until(
            lambda tor=tor, before=before: tcp_count(tor, dropped) >= before + 2,  # type: ignore[misc]
            deadline_s=30,
            what=f"{tor.name} drops what we send",
        )
    # Our first word may be read before FRR guards the socket, and our side established for a
    # moment; a ToR that has us tells us its routes.
    for name in ("tor1", "tor2"):
        families = agent.peer(name)["families"].values()
        assert [each["received"] for each in families] == [0, 0]


def tcp_count(tor: Namespace, name: str) -> int:
    """Return a counter of a namespace's TCP (TcpExt in proc_net_netstat, net/ipv4/proc.c)."""
    lines = tor.run(["grep", "^TcpExt:", "/proc/net/netstat"]).stdout.splitlines()
    names, values = (line.split() for line in lines)
    return int(values[names.index(name)])


@pytest.mark.slow
def test_a_flap_that_is_over_before_anybody_looked(make: MakeUnnumbered) -> None:
    """The session begins anew or lives; either way, both legs are there and nothing is stale."""
    fabric = make()
    agent = fabric.start()
    agent.wait_established("tor1", "tor2")
    fabric.wait_legs("eth1", "eth2")
    for _ in range(3):
        fabric.tors[0].run(
            ["sh", "-ec", f"ip link set {PORT} down; ip link set {PORT} up"],
        )
        fabric.wait_legs("eth1", "eth2", deadline_s=30)
        agent.wait_established("tor1", "tor2")
    assert agent.peer("tor2")["times_down"] == 0
    wait_until(
        lambda: not agent.ask("status")["reasons"], deadline_s=10, what="nothing to complain about"
    )
