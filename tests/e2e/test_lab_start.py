"""`./dev lab up`, `start`, `exec`, `down`: what the READMEs of the fabrics tell people to type."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from containerlab.demo.leftovers import Snapshot, left_behind

pytestmark = [pytest.mark.e2e, pytest.mark.needs("ping")]
DEV = Path(__file__).resolve().parents[2] / "dev"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DEV, "lab", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_a_fabric_is_started_looked_at_and_ended() -> None:
    before = Snapshot.take()
    early = lab("start", "single-rack")
    assert (early.returncode, early.stdout) == (1, "")
    assert "start it: ./dev lab up single-rack" in early.stderr
    try:
        assert lab("up", "single-rack").returncode == 0
        assert "single-rack\tup" in lab("list").stdout
        first = lab("start", "single-rack")
        assert (first.returncode, first.stderr) == (0, "")
        assert "node2: node2-pod1 10.244.2.1 fd00:244:2::1" in first.stdout
        again = lab("start", "single-rack")
        assert (again.returncode, again.stderr) == (0, "")
        assert "node2-pod1" not in again.stdout, "what is there is left alone"
        pod = ("ip", "netns", "exec", "node1-pod1")
        for address in ("10.244.2.1", "fd00:244:2::1", "198.51.100.10"):
            answer = lab("exec", "single-rack", "node1", *pod, "ping", "-c1", "-W2", address)
            assert answer.returncode == 0, answer.stdout
    finally:
        lab("down", "single-rack")
    assert left_behind(before, frozenset()) == ()
