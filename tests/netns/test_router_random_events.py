"""RIB to FIB on the real kernel: random events, filters and foreign hands among them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace, join

pytestmark = [pytest.mark.netns, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
PODROUTE = Path(sys.executable).with_name("podroute")
EVENTS = 500


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    node = make_namespace("node")
    for index in (1, 2):
        tor = make_namespace(f"tor{index}")
        join(node, f"eth{index}", tor, "node")
        node.run(["ip", "address", "add", f"10.0.{index}.3/31", "dev", f"eth{index}"])
    return node


def run(node: Namespace, seed: int, events: int, *place: int | str) -> Any:
    words = map(str, (seed, events, *place))
    program = [sys.executable, "-m", "tests.support.rib_to_fib", *words]
    done = node.run(["env", f"PYTHONPATH={ROOT}", *program], timeout_s=100)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["violations"] == []
    assert sum(answer["events"].values()) == events
    assert answer["kept"], "routes found at start stay until End-of-RIB"
    return answer


def test_the_kernel_follows_500_random_events(node: Namespace) -> None:
    answer = run(node, 7, EVENTS)
    assert len(answer["events"]) == 8, "every kind of event happened"
    assert answer["most"] >= 5, "there were routes to be wrong about"
    print(answer)


def test_a_table_of_our_own_too_and_nothing_is_left_when_it_is_given_up(node: Namespace) -> None:
    node.run(["ip", "rule", "add", "pref", "900", "from", "192.0.2.9", "lookup", "99"])
    run(node, 10, 30)
    answer = run(node, 11, 200, 74)
    assert answer["found"] >= 2
    assert answer["events"]["delete_rule"] >= 3
    assert run(node, 12, 20)["found"] >= 2
    shown = node.run(["ip", "route", "show", "table", "all", "proto", "74"]).stdout
    assert "table 74" not in shown
    assert "lookup 99" in node.run(["ip", "rule"]).stdout, "a foreign rule stays"


def test_the_kernel_follows_in_the_plain_form_and_the_forms_follow_each_other(
    node: Namespace,
) -> None:
    answer = run(node, 21, 200, 254, "plain")
    assert answer["most"] >= 5
    assert answer["events"]["move_link"] >= 5
    assert run(node, 22, 20)["found"] >= 2
    assert "nhid" in node.run(["ip", "route", "show", "proto", "74"]).stdout
    assert run(node, 23, 20, 254, "plain")["found"] >= 2
    assert node.run(["ip", "nexthop"]).stdout == ""
    assert "10.244." in node.run(["ip", "route", "show", "proto", "74"]).stdout


def test_uninstall_leaves_neither_rule_nor_route(node: Namespace) -> None:
    run(node, 13, 40, 74)
    assert "proto 74" in node.run(["ip", "rule"]).stdout
    done = node.run(
        [
            PODROUTE,
            "--run-dir",
            "/run/podroute",
            "--state-dir",
            "/run/state",
            "uninstall",
            "--bin-dir",
            "/run/bin",
            "--conf-dir",
            "/run/conf",
        ]
    )
    assert "IPv4 rule 1000: lookup 74" in done.stdout
    for show in (["rule"], ["-6", "rule"], ["route", "show", "table", "all"], ["nexthop"]):
        assert "74" not in node.run(["ip", *show]).stdout.replace("10.244", "").split()
