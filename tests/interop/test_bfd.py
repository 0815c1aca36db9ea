"""BFD with real FRR and BIRD: up, silence, death and return, the way out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from bgp.bfd.session import Verdict
from bgp.bfd.state import State
from tests.support.bfd import BfdHost, drop_silently, heal
from tests.support.bgp_fabric import BgpFabric, MakeFabric
from tests.support.bird import Bird
from tests.support.frr import Frr
from tests.support.wait import wait_until

pytestmark = pytest.mark.interop

INTERVAL_MS = 300
KINDS = ("frr", "bird")


class Watched:
    """A node between FRR (1) and BIRD (2), BGP and BFD with both, over both families."""

    def __init__(self, fabric: BgpFabric, bfd: BfdHost) -> None:
        self.fabric = fabric
        self.bfd = bfd
        self.specs = [
            bfd.spec(theirs, ours, f"eth{index}", INTERVAL_MS)
            for index in (1, 2)
            for theirs, ours in zip(
                fabric.their_addresses(index), fabric.own_addresses(index), strict=True
            )
        ]

    def start(self) -> None:
        self.fabric.start()
        self.bfd.want(*self.specs)
        self.bfd.wait_up(deadline_s=20)
        wait_until(
            lambda: {self.their_bfd(i) for i in (1, 2)} == {"up"}, deadline_s=10, what="their BFD"
        )

    def their_bfd(self, index: int) -> str:
        router, address = self.fabric.routers[index - 1], self.fabric.own_addresses(index)[0]
        if isinstance(router, Frr):
            return str(router.bfd(address).get("status", "none")).lower()
        assert isinstance(router, Bird)
        return (router.bfd(address) or ["", "", "none"])[2].lower()

    def bgp_age(self, index: int) -> object:
        """Return something that changes when the ToR's BGP session was reset."""
        router, address = self.fabric.routers[index - 1], self.fabric.own_addresses(index)[0]
        if isinstance(router, Frr):
            shown = router.neighbor(address)
            return shown["bgpState"], shown["connectionsEstablished"]
        assert isinstance(router, Bird)
        return router.since(address)

    @property
    def ages(self) -> list[object]:
        return [self.bgp_age(index) for index in (1, 2)]


@pytest.fixture
def watched(make_fabric: MakeFabric) -> Iterator[Watched]:
    fabric = make_fabric(*KINDS, bfd_interval_ms=INTERVAL_MS)
    with BfdHost(fabric.node) as bfd:
        made = Watched(fabric, bfd)
        made.start()
        yield made


@pytest.mark.timeout(180)
def test_ten_deaths_are_not_noticed(watched: Watched) -> None:
    before = watched.ages
    for _ in range(10):
        watched.bfd.kill_daemon()
        watched.bfd.wait_up(deadline_s=2)
        assert all(s.ups == 1 for s in watched.bfd.sessions().values())
    # The keeper too, as a container that is started again at once.
    watched.bfd.kill_all()
    watched.bfd.start()
    watched.bfd.wait_up(deadline_s=5)
    assert watched.bfd.stop() == 0
    watched.bfd.start()
    watched.bfd.wait_up(deadline_s=5)
    # Longer than anybody would need to notice.
    wait_until(_passed(2 * 3 * INTERVAL_MS / 1000), deadline_s=5, what="two detection times")
    assert all((s.ups, s.downs) == (1, 0) for s in watched.bfd.sessions().values())
    assert watched.ages == before


@pytest.mark.timeout(180)
def test_silence_is_noticed_in_time_on_both_sides_and_ends_with_it(watched: Watched) -> None:
    watched.bfd.hang_up()
    began = {index: drop_silently(watched.fabric.namespaces[index - 1], "node") for index in (1, 2)}
    watched.bfd.wait(
        "all lost", lambda found: all(s.verdict is Verdict.LOST for s in found.values()), 5
    )
    for index, address in ((i, a) for i in (1, 2) for a in watched.fabric.their_addresses(i)):
        session = watched.bfd.sessions()[address]
        assert session.lost_at is not None
        assert session.lost_at - began[index] <= 3 * INTERVAL_MS / 1000 + 0.1
        assert session.reason == "control detection time expired"
    wait_until(
        lambda: "up" not in {watched.their_bfd(i) for i in (1, 2)}, deadline_s=5, what="they notice"
    )
    for namespace in watched.fabric.namespaces:
        heal(namespace)
    watched.bfd.wait_up(deadline_s=20)
    assert all((s.ups, s.downs) == (2, 1) for s in watched.bfd.sessions().values())


@pytest.mark.timeout(180)
def test_a_peer_that_says_admin_down_is_not_lost(watched: Watched) -> None:
    router = watched.fabric.routers[0]
    assert isinstance(router, Frr)
    router.shut_down_bfd()
    theirs = watched.fabric.their_addresses(1)
    watched.bfd.wait(
        "admin down of the peer",
        lambda found: all(found[address].remote_state is State.ADMIN_DOWN for address in theirs),
        5,
    )
    for address in theirs:
        session = watched.bfd.sessions()[address]
        assert (session.state, session.verdict) == (State.DOWN, Verdict.UNKNOWN)


@pytest.mark.timeout(180)
def test_a_planned_end_is_admin_down_and_then_gone(watched: Watched) -> None:
    before = watched.ages
    watched.bfd.want()
    wait_until(
        lambda: "up" not in {watched.their_bfd(i) for i in (1, 2)}, deadline_s=1, what="admin down"
    )
    # Measured, docs/operations.md: both end BGP at once, hence AdminDown after BGP.
    wait_until(
        lambda: all(now != then for now, then in zip(watched.ages, before, strict=True)),
        deadline_s=5,
        what="BGP ended by both",
    )


@pytest.mark.timeout(180)
def test_packets_from_further_away_or_another_link_end_nothing(watched: Watched) -> None:
    forge = (
        "import socket,struct,sys\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        "s.setsockopt(0,socket.IP_TTL,int(sys.argv[3])); s.setsockopt(0,19,1)\n"
        "s.bind((sys.argv[1],50000))\n"
        "s.sendto(struct.pack('!BBBBIIIII',0x20|7,0,3,24,9,0,1000000,1000000,0),(sys.argv[2],3784))\n"
    )
    ours, theirs = watched.fabric.own_addresses(1)[0], watched.fabric.their_addresses(1)[0]
    tor1, tor2 = watched.fabric.namespaces
    tor2.run(["ip", "route", "add", f"{ours}/32", "via", watched.fabric.own_addresses(2)[0]])
    for namespace, ttl in ((tor1, 254), (tor2, 255)):
        namespace.run(["python3", "-c", forge, theirs, ours, str(ttl)])
    wait_until(_passed(0.2), deadline_s=2, what="time for them to arrive")
    assert all((s.ups, s.downs) == (1, 0) for s in watched.bfd.sessions().values())
    # The control: the same packet from the right place ends the session.
    tor1.run(["python3", "-c", forge, theirs, ours, "255"])
    watched.bfd.wait("ended", lambda found: found[theirs].downs == 1, 2)


@pytest.mark.timeout(180)
def test_sessions_stay_when_the_agent_goes(watched: Watched) -> None:
    watched.bfd.hang_up()
    wait_until(_passed(1.0), deadline_s=3, what="a while without an agent")
    assert {s.state for s in watched.bfd.sessions().values()} == {State.UP}


def _passed(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end
