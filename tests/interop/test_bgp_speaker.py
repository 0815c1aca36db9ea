"""The speaker against real routers: sessions, announcements, deaths, hangs, reloads."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.bgp_fabric import OWN, THEIRS, BgpFabric, wait_received
from tests.support.frr import Frr
from tests.support.netns import Namespace
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop]

Make = Callable[..., BgpFabric]


@pytest.fixture
def make_fabric(make_namespace: Callable[[str], Namespace]) -> Iterator[Make]:
    made: list[BgpFabric] = []

    def make(*kinds: str, **neighbor_options: object) -> BgpFabric:
        made.append(BgpFabric(make_namespace, kinds, **neighbor_options))
        return made[-1]

    yield make
    for fabric in made:
        if fabric.host is not None:
            fabric.host.close()
        for router in fabric.routers:
            router.stop()


@pytest.mark.parametrize(
    "kind", ["frr", "bird", pytest.param("gobgp", marks=pytest.mark.needs("gobgpd"))]
)
def test_exchanges_both_families_and_end_of_rib_comes_last(make_fabric: Make, kind: str) -> None:
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


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_killed_speaker_comes_back_and_routers_keep_its_routes(
    make_fabric: Make, kind: str
) -> None:
    fabric = make_fabric(kind)
    host = fabric.start()
    router = fabric.routers[0]

    fabric.signal_speaker(signal.SIGKILL)
    state = host.wait("restart", lambda s: s["restarts"] == 1 and s["settled"])
    host.wait_established()

    assert host.events("SpeakerExited")[0]["reason"] == "ended by signal SIGKILL"
    for session in state["sessions"].values():
        assert session["times_down"] == 1
        assert session["last_down"] == "ended by signal SIGKILL"
    fabric.wait_exchanged()
    for prefix in OWN:
        wait_until(lambda p=prefix: not router.is_stale(p), deadline_s=5, what=f"{prefix} fresh")


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_routes_stay_stale_while_the_speaker_is_stopped_for_a_restart(
    make_fabric: Make, kind: str
) -> None:
    fabric = make_fabric(kind)
    host = fabric.start()
    router = fabric.routers[0]

    host.close()

    for prefix, address in zip(OWN, fabric.own_addresses(1), strict=True):
        wait_until(lambda p=prefix: router.is_stale(p), deadline_s=5, what=f"{prefix} stale")
        assert router.received(address) == {prefix: address}
    assert fabric.processes() == []
    fabric.start_host().configure(fabric.peers(), list(OWN))
    fabric.host.wait_established()
    fabric.wait_exchanged()
    for prefix in OWN:
        wait_until(lambda p=prefix: not router.is_stale(p), deadline_s=5, what=f"{prefix} fresh")


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_without_graceful_restart_the_routes_go(make_fabric: Make, kind: str) -> None:
    fabric = make_fabric(kind)
    host = fabric.start(graceful_restart_s=0)

    host.close()

    for address in fabric.own_addresses(1):
        wait_received(fabric.routers[0], address, {})


def test_death_of_the_agent_kills_the_speaker_at_once(make_fabric: Make) -> None:
    fabric = make_fabric("frr", "bird")
    fabric.start()

    fabric.kill_agent()
    wait_until(lambda: fabric.processes() == [], deadline_s=1, what="no process is left")

    for router in fabric.routers:
        for prefix in OWN:
            wait_until(lambda r=router, p=prefix: r.is_stale(p), deadline_s=5, what="stale")
    host = fabric.start_host()
    host.configure(fabric.peers(), list(OWN))
    host.wait_established()
    fabric.wait_exchanged()


def test_agent_killed_while_the_speaker_starts_leaves_nothing(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    for _ in range(5):
        host = fabric.start_host()
        host.configure(fabric.peers(), list(OWN))
        fabric.kill_agent()
        wait_until(lambda: fabric.processes() == [], deadline_s=2, what="no process is left")


def test_agent_may_be_followed_by_another_at_once(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    fabric.start()

    fabric.kill_agent()
    host = fabric.start_host()
    host.configure(fabric.peers(), list(OWN))

    host.wait_established()
    fabric.wait_exchanged()
    assert host.state()["restarts"] == 0


def test_hung_speaker_is_killed_within_half_the_hold_time(make_fabric: Make) -> None:
    fabric = make_fabric("frr", "bird")
    host = fabric.start()

    began = time.monotonic()
    fabric.signal_speaker(signal.SIGSTOP)
    state = host.wait("a restart", lambda s: s["restarts"] == 1)
    took_s = time.monotonic() - began

    assert took_s <= 4.5 + 0.5, took_s
    assert "no sign of life" in host.events("SpeakerExited")[0]["reason"]
    host.wait_established()
    fabric.wait_exchanged()
    assert all(s["times_down"] == 1 for s in host.state()["sessions"].values()), state


def test_hung_relay_counts_as_a_hung_speaker(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    relay = int(fabric.node.run(["pgrep", "-f", "relay.py /run"]).stdout.split()[0])
    fabric.node.run(["kill", "-STOP", str(relay)])
    host.wait("a restart", lambda s: s["restarts"] == 1)
    host.wait_established()

    assert len(fabric.processes()) == 2, fabric.processes()


def test_death_of_the_relay_alone_is_the_death_of_the_speaker(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    relay = int(fabric.node.run(["pgrep", "-f", "relay.py /run"]).stdout.split()[0])
    fabric.node.run(["kill", "-KILL", str(relay)])
    host.wait("a restart", lambda s: s["restarts"] == 1)

    assert "connection to it was lost" in host.events("SpeakerExited")[0]["reason"]
    host.wait_established()
    fabric.wait_exchanged()


def test_networks_come_and_go_without_touching_a_session(make_fabric: Make) -> None:
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


def test_change_of_one_peer_leaves_the_others_alone(make_fabric: Make) -> None:
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


def test_configuration_changes_while_a_peer_does_not_answer(make_fabric: Make) -> None:
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


def test_removed_peer_is_sent_withdrawals_first(make_fabric: Make) -> None:
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


def test_configuration_given_while_the_speaker_starts_is_not_lost(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    fabric.routers[0].start()
    host = fabric.start_host()

    host.configure(fabric.peers()[:1], [])
    host.configure(fabric.peers(), list(OWN))

    host.wait_established("tor1-v4", "tor1-v6")
    fabric.wait_exchanged()


def test_password_right_wrong_and_rotated(make_fabric: Make) -> None:
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


def test_wrong_asn_is_said_in_words(make_fabric: Make) -> None:
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
def test_administrative_shutdown_and_reset_are_said_in_words(make_fabric: Make, kind: str) -> None:
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


def test_peer_that_vanishes_runs_into_the_hold_timer(make_fabric: Make) -> None:
    fabric = make_fabric("bird", hold_time_s=3)
    host = fabric.start(hold_time_s=3)

    fabric.namespaces[0].run(["ip", "address", "flush", "dev", "node"])

    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 1)
    assert state["sessions"]["tor1-v4"]["last_down"] == "hold timer expired (4/0), sent"


def test_restarted_router_is_dialled_again(make_fabric: Make) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    fabric.routers[0].stop()
    state = host.wait("down", lambda s: s["sessions"]["tor1-v4"]["times_down"] == 1)
    assert state["sessions"]["tor1-v4"]["last_down"] == "peer closed the connection"
    fabric.routers[0].start()

    host.wait_established(deadline_s=20)
    fabric.wait_exchanged()


def test_runs_from_a_place_that_its_user_cannot_reach(make_fabric: Make, tmp_path: Path) -> None:
    spec = find_spec("exabgp")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, tmp_path / "exabgp")
    fabric = make_fabric("bird")
    fabric.routers[0].start()

    host = fabric.start_host(library=tmp_path)
    host.configure(fabric.peers(), list(OWN))

    host.wait_established()
    fabric.wait_exchanged()
    fabric.node.run(["test", "-e", "/run/speaker/lib/exabgp/__init__.py"])


def test_process_has_no_privileges_and_shows_no_secret(make_fabric: Make) -> None:
    fabric = make_fabric("bird", password="hunter2")
    host = fabric.start(password="hunter2")

    pid = host.state()["pid"]
    status = dict(
        line.split(":", 1)
        for line in fabric.node.run(["cat", f"/proc/{pid}/status"]).stdout.splitlines()
    )
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"61179"}
    assert status["Groups"].strip() == ""
    assert status["NoNewPrivs"].strip() == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    shown = fabric.node.run(["stat", "-c", "%a %u", "/run/speaker/exabgp.conf"]).stdout
    assert shown.split() == ["400", "61179"]
    config = fabric.node.run(["cat", "/run/speaker/exabgp.conf"]).stdout
    assert "hunter2" not in config
    host.close()
    assert fabric.node.run(["ls", "/run/speaker"]).stdout.split() == ["relay.py"]
