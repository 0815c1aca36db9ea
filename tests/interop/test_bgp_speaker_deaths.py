"""The speaker against real routers: how it and the agent die, hang and come back."""

from __future__ import annotations

import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.bgp_fabric import OWN, MakeFabric, wait_received
from tests.support.wait import wait_until

pytestmark = [pytest.mark.interop]


@pytest.mark.parametrize("kind", ["frr", "bird"])
def test_killed_speaker_comes_back_and_routers_keep_its_routes(
    make_fabric: MakeFabric, kind: str
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
    make_fabric: MakeFabric, kind: str
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
def test_without_graceful_restart_the_routes_go(make_fabric: MakeFabric, kind: str) -> None:
    fabric = make_fabric(kind)
    host = fabric.start(graceful_restart_s=0)

    host.close()

    for address in fabric.own_addresses(1):
        wait_received(fabric.routers[0], address, {})


def test_death_of_the_agent_kills_the_speaker_at_once(make_fabric: MakeFabric) -> None:
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


def test_agent_killed_while_the_speaker_starts_leaves_nothing(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    for _ in range(5):
        host = fabric.start_host()
        host.configure(fabric.peers(), list(OWN))
        fabric.kill_agent()
        wait_until(lambda: fabric.processes() == [], deadline_s=2, what="no process is left")


def test_agent_may_be_followed_by_another_at_once(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    fabric.start()

    fabric.kill_agent()
    host = fabric.start_host()
    host.configure(fabric.peers(), list(OWN))

    host.wait_established()
    fabric.wait_exchanged()
    assert host.state()["restarts"] == 0


def test_hung_speaker_is_killed_within_half_the_hold_time(make_fabric: MakeFabric) -> None:
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


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_hung_relay_counts_as_a_hung_speaker(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    relay = int(fabric.node.run(["pgrep", "-f", "relay.py /run"]).stdout.split()[0])
    fabric.node.run(["kill", "-STOP", str(relay)])
    host.wait("a restart", lambda s: s["restarts"] == 1)
    host.wait_established()

    assert len(fabric.processes()) == 2, fabric.processes()


@pytest.mark.parametrize("receive", ["stock"], indirect=True)
def test_death_of_the_relay_alone_is_the_death_of_the_speaker(make_fabric: MakeFabric) -> None:
    fabric = make_fabric("bird")
    host = fabric.start()

    relay = int(fabric.node.run(["pgrep", "-f", "relay.py /run"]).stdout.split()[0])
    fabric.node.run(["kill", "-KILL", str(relay)])
    host.wait("a restart", lambda s: s["restarts"] == 1)

    assert "connection to it was lost" in host.events("SpeakerExited")[0]["reason"]
    host.wait_established()
    fabric.wait_exchanged()


def test_runs_from_a_place_that_its_user_cannot_reach(
    make_fabric: MakeFabric, tmp_path: Path
) -> None:
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


def test_process_has_no_privileges_and_shows_no_secret(make_fabric: MakeFabric) -> None:
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
    assert fabric.node.run(["ss", "-Hltnu"]).stdout == ""
    shown = fabric.node.run(["stat", "-c", "%a %u %g", "/run/speaker/exabgp.conf"]).stdout
    assert shown.split() == ["440", "0", "61179"]
    config = fabric.node.run(["cat", "/run/speaker/exabgp.conf"]).stdout
    assert "hunter2" not in config
    host.close()
    assert fabric.node.run(["ls", "/run/speaker"]).stdout.split() == ["launcher", "relay.py"]
