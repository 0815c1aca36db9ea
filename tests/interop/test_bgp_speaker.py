"""The speaker against real routers: sessions, announcements, reloads, reasons in words."""

from __future__ import annotations

import pytest

from tests.support.bgp_fabric import OWN, THEIRS, MakeFabric, wait_received
from tests.support.frr import Frr
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop]


@pytest.mark.parametrize(
    "kind", ["frr", "bird", pytest.param("gobgp", marks=pytest.mark.needs("gobgpd"))]
)
def test_exchanges_both_families_and_end_of_rib_comes_last(
    make_fabric: MakeFabric, kind: str
) -> None:
    fabric = make_fabric(kind)
    host = fabric.start()

    state = host.wait(
        "End-of-RIB of every peer",
        lambda s: all(x["end_of_rib_received"] for x in s["sessions"].values()),
    )
    for name, own, theirs, hop in zip(
        ("tor1-v4", "tor1-v6"), OWN, THEIRS, fabric.their_addresses(1), strict=True
    ):
        session = state["sessions"][name]
        assert session["announced"] == [own]
        assert session["hold_time_s"] == 9
        assert session["end_of_rib_sent"] == [4 if "v4" in name else 6]
        assert state["routes"][theirs] == [[name, hop, False]]
        sent = host.events("Sent", peer=name)
        assert own_is_before_end_of_rib(sent)


def own_is_before_end_of_rib(sent: list[dict[str, object]]) -> bool:
    ends = [i for i, event in enumerate(sent) if event["end_of_rib"] is not None]
    announcements = [i for i, event in enumerate(sent) if event["announced"] != "()"]
    return len(ends) == 1 and max(announcements) < ends[0]


def test_networks_come_and_go_without_touching_a_session(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird")
    host = fabric.start()
    since = {name: s["since"] for name, s in host.state()["sessions"].items()}

    host.configure(fabric.peers(), [*OWN, "10.244.9.0/24"])
    for index, router in enumerate(fabric.routers, 1):
        address = fabric.own_addresses(index)[0]
        wait_received(router, address, {OWN[0]: address, "10.244.9.0/24": address})
    host.configure(fabric.peers(), [])
    for index, router in enumerate(fabric.routers, 1):
        for address in fabric.own_addresses(index):
            wait_received(router, address, {})
    state = host.wait("all acknowledged", lambda s: s["settled"])

    assert {name: s["since"] for name, s in state["sessions"].items()} == since
    assert all(s["announced"] == [] for s in state["sessions"].values())
    assert state["pending_bytes"] == 0


def test_change_of_one_peer_leaves_the_others_alone(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird")
    host = fabric.start()
    before = host.state()["sessions"]

    peers = fabric.peers()
    peers[0]["hold_time_s"] = 6
    host.configure(peers, list(OWN))
    after = host.wait(
        "the new hold time",
        lambda s: (
            s["sessions"]["tor1-v4"]["hold_time_s"] == 6
            and s["sessions"]["tor1-v4"]["state"] == "established"
        ),
    )["sessions"]

    fabric.wait_exchanged()
    for name in ("tor1-v6", "tor2-v4", "tor2-v6"):
        assert after[name]["since"] == before[name]["since"]


def test_configuration_changes_while_a_peer_does_not_answer(make_fabric: MakeFabric) -> None:
    # With routes in its configuration file ExaBGP would drop every reload here (ADR 0030).
    fabric = make_fabric("frr", "bird")
    silent = fabric.peers()[2:]
    fabric.namespaces[1].run(["ip", "link", "set", "node", "down"])
    fabric.routers[0].start()
    host = fabric.start_host()
    host.configure([fabric.peers()[0], *silent], list(OWN))
    host.wait_established("tor1-v4")
    since = host.state()["sessions"]["tor1-v4"]["since"]

    host.configure([*fabric.peers()[:2], *silent], [*OWN, "10.244.9.0/24"])
    host.wait_established("tor1-v6")
    address = fabric.own_addresses(1)[0]
    wait_received(fabric.routers[0], address, {OWN[0]: address, "10.244.9.0/24": address})

    assert host.state()["sessions"]["tor1-v4"]["since"] == since


def test_removed_peer_is_sent_withdrawals_first(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr")
    host = fabric.start()
    router = fabric.routers[0]
    v4, v6 = fabric.own_addresses(1)

    host.configure(fabric.peers()[1:], list(OWN))

    wait_received(router, v4, {})
    wait_received(router, v6, {OWN[1]: v6})
    assert isinstance(router, Frr)
    wait_until(
        lambda: router.neighbor(v4)["bgpState"] != "Established",
        deadline_s=5,
        what="the session ends",
    )


def test_configuration_given_while_the_speaker_starts_is_not_lost(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    fabric.routers[0].start()
    host = fabric.start_host()

    host.configure(fabric.peers()[:1], [])
    host.configure(fabric.peers(), list(OWN))

    host.wait_established("tor1-v4", "tor1-v6")
    fabric.wait_exchanged()


def test_password_right_wrong_and_rotated(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird", password='pa"ss#w;rd{}'.replace('"', ""))
    for router in fabric.routers:
        router.start()
    host = fabric.start_host()
    right, wrong = {"password": "pass#w;rd{}"}, {"password": "wrong"}
    peers = fabric.peers(**right)
    peers[0] |= wrong
    host.configure(peers, list(OWN))
    host.wait_established("tor1-v6", "tor2-v4", "tor2-v6")
    assert host.state()["sessions"]["tor1-v4"]["state"] == "connect"

    peers[0] |= right
    host.configure(peers, list(OWN))
    host.wait_established()
    fabric.wait_exchanged()

    assert all(s["times_down"] == 0 for s in host.state()["sessions"].values())


def test_wrong_asn_is_said_in_words(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("frr", "bird")
    for router in fabric.routers:
        router.start()
    host = fabric.start_host()
    peers = fabric.peers()
    peers[0]["remote_asn"] = peers[2]["remote_asn"] = 64999
    host.configure(peers, list(OWN))

    for name in ("tor1-v4", "tor2-v4"):
        host.wait("a reason", lambda s, n=name: "bad peer AS" in s["sessions"][n]["last_down"])


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_administrative_shutdown_and_reset_are_said_in_words(
    make_fabric: MakeFabric, kind: str
) -> None:
    fabric = make_fabric(kind)
    host = fabric.start()
    router = fabric.routers[0]
    address = fabric.own_addresses(1)[0]

    router.shut_down(address, "maintenance")
    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 1)
    down = state["sessions"]["tor1-v4"]["last_down"]
    assert down.startswith("administrative shutdown (6/2), received"), down
    assert "maintenance" in down
    router.bring_up(address)
    host.wait_established(deadline_s=30)
    fabric.wait_exchanged()

    router.reset(address)
    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 2)
    down = state["sessions"]["tor1-v4"]["last_down"]
    assert down.startswith("administrative reset (6/4), received"), down
    host.wait_established(deadline_s=30)
    fabric.wait_exchanged()


def test_peer_that_vanishes_runs_into_the_hold_timer(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird", hold_time_s=3)
    host = fabric.start(hold_time_s=3)

    fabric.namespaces[0].run(["ip", "address", "flush", "dev", "node"])

    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 1)
    assert state["sessions"]["tor1-v4"]["last_down"] == "hold timer expired (4/0), sent"


def test_restarted_router_is_dialled_again(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    fabric.routers[0].stop()
    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 1)
    assert state["sessions"]["tor1-v4"]["last_down"] == "peer closed the connection"
    fabric.routers[0].start()

    host.wait_established(deadline_s=20)
    fabric.wait_exchanged()
