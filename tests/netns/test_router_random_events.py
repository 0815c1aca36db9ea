"""RIB to FIB on the real kernel: random events, filters and foreign hands among them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.netns import Namespace, join

pytestmark = [pytest.mark.netns, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
EVENTS = 500


def test_the_kernel_follows_500_random_events(make_namespace: Callable[[str], Namespace]) -> None:
    node = make_namespace("node")
    for index in (1, 2):
        tor = make_namespace(f"tor{index}")
        join(node, f"eth{index}", tor, "node")
        node.run(["ip", "address", "add", f"10.0.{index}.3/31", "dev", f"eth{index}"])
    program = [sys.executable, "-m", "tests.support.rib_to_fib", "7", str(EVENTS)]

    done = node.run(["env", f"PYTHONPATH={ROOT}", *program], timeout_s=100)

    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["violations"] == []
    assert sum(answer["events"].values()) == EVENTS
    assert len(answer["events"]) == 8, "every kind of event happened"
    assert answer["most"] >= 5, "there were routes to be wrong about"
    print(answer)
