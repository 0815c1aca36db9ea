from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.netns import Namespace, inner_pid, join, namespaces
from tests.support.wait import wait_until

pytestmark = pytest.mark.netns
ROOT = Path(__file__).resolve().parents[2]


def test_two_namespaces_reach_each_other(make_namespace: Callable[[str], Namespace]) -> None:
    left, right = make_namespace("left"), make_namespace("right")
    before = set(Path("/sys/class/net").iterdir())
    join(left, "eth0", right, "uplink")
    left.run(["ip", "addr", "add", "10.9.0.1/30", "dev", "eth0"])
    right.run(["ip", "addr", "add", "10.9.0.2/30", "dev", "uplink"])
    left.run(["ping", "-c1", "-W2", "10.9.0.2"])
    assert set(Path("/sys/class/net").iterdir()) == before
    assert "10.9.0.1/30" in left.describe()


def test_what_runs_inside_ends_with_the_namespace() -> None:
    with namespaces("short") as (short,):
        program = short.popen(["sleep", "600"])
        inside = inner_pid(program)
    program.wait(timeout=5)
    assert not Path(f"/proc/{inside}").exists()


def test_kill_reaches_the_program(make_namespace: Callable[[str], Namespace]) -> None:
    node = make_namespace("node")
    program = node.popen(["sleep", "600"])
    inside = inner_pid(program)
    node.kill(program, signal.SIGKILL)
    program.wait(timeout=5)
    assert not Path(f"/proc/{inside}").exists()


def test_nothing_outlives_a_killed_test_run() -> None:
    source = (
        "import time; from tests.support.netns import Namespace\n"
        "n = Namespace('orphan'); n.popen(['sleep', '600']); print(n.pid, flush=True)\n"
        "time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE)
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    run.kill()
    run.wait()
    run.stdout.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), deadline_s=5, what="the init's end")
