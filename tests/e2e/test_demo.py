from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from containerlab.demo.leftovers import Snapshot, left_behind, namespaces_of
from tests.support.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DEV = Path(__file__).resolve().parents[2] / "dev"
CHECKS = {
    "start_to_tor_fib_ms",
    "sessions_established",
    "ping_lost",
    "source_kept",
    "ecmp_legs_used",
    "link_cut_gap_ms",
    "speaker_agent_kill_lost",
    "control_lost",
    "withdraw_ms",
    "left_behind",
}


def dev(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEV, *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


def assert_all_ok(done: subprocess.CompletedProcess[str], names: set[str]) -> None:
    checks = json.loads(done.stdout)["checks"]
    bad = [check for check in checks if not check["ok"]]
    assert not bad, json.dumps(bad, indent=1) + done.stderr
    assert {check["name"] for check in checks} == names
    assert done.returncode == 0


def test_the_demo_meets_its_bounds_within_a_minute() -> None:
    start = time.monotonic()
    done = dev("demo", "--json")
    assert_all_ok(done, CHECKS)
    assert time.monotonic() - start < 60


def test_a_kept_lab_can_be_looked_at_and_ended() -> None:
    before = Snapshot.take()
    try:
        done = dev("demo", "--json", "--keep", "--quick")
        assert_all_ok(done, CHECKS - {"control_lost", "left_behind"})
        assert "./dev lab down dual-tor" in done.stderr
        peers = dev("lab", "exec", "dual-tor", "node3", "podroute", "peers", "-o", "json")
        states = [peer["state"] for peer in json.loads(peers.stdout)["peers"]]
        assert states == ["established"] * 4
        pod = ("ip", "netns", "exec", "node1-pod1")
        ping = ("ping", "-c1", "-W2", "198.51.100.10")
        assert dev("lab", "exec", "dual-tor", "node1", *pod, *ping).returncode == 0
    finally:
        dev("lab", "down", "dual-tor")
    assert left_behind(before, frozenset()) == ()


def test_a_demo_killed_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    before = Snapshot.take()
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        # `dev` becomes the demo (exec), so this is its own pid.
        demo = subprocess.Popen([DEV, "demo"], stdout=subprocess.DEVNULL, stderr=stderr)
    wait_until(
        lambda: "link goes down" in said.read_text() or demo.poll() is not None,
        deadline_s=120,
        what="the demo under traffic",
    )
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    spaces = namespaces_of(map(int, children))
    assert spaces
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    wait_until(lambda: left_behind(before, spaces) == (), deadline_s=10, what="nothing left")
