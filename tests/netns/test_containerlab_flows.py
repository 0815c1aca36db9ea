"""The demo's evidence must itself be sound: what the probes report is what the network did."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from containerlab.measure.flows import Group, Traffic
from containerlab.measure.pings import ping_all
from containerlab.measure.sources import Question, ask, servers
from tests.support.netns import Namespace, join

pytestmark = pytest.mark.netns


@pytest.fixture
def pair(make_namespace: Callable[[str], Namespace]) -> tuple[Namespace, Namespace]:
    left, right = make_namespace("left"), make_namespace("right")
    join(left, "eth0", right, "eth0")
    for namespace, number in ((left, 1), (right, 2)):
        namespace.write_sysctl("net.ipv6.conf.eth0.keep_addr_on_down", 1)
        for address in (f"10.9.0.{number}/24", f"fd00:9::{number}/64"):
            namespace.run(["ip", "addr", "add", address, "dev", "eth0", "nodad"])
    return left, right


def groups(left: Namespace, right: Namespace) -> list[Group]:
    return [
        Group(name="v4", source=left, target=right, address="10.9.0.2"),
        Group(name="v6", source=left, target=right, address="fd00:9::2"),
    ]


def test_a_sound_network_loses_nothing(pair: tuple[Namespace, Namespace]) -> None:
    with Traffic(groups(*pair)) as traffic:
        traffic.go()
        time.sleep(0.5)
        results = traffic.stop()
    for result in results:
        assert result.faults() == ()
        assert len(result.flows) == 16
        assert result.attempted >= 16 * 45
        assert (result.lost, sum(flow.twice for flow in result.flows)) == (0, 0)
        assert result.worst_gap_ms < 250


def test_a_silent_drop_shows_as_loss_and_gap(pair: tuple[Namespace, Namespace]) -> None:
    left, right = pair
    rules = (
        "table netdev t { chain c { type filter hook ingress device eth0 priority 0; policy drop;"
        " }; }"
    )
    with Traffic(groups(left, right)) as traffic:
        traffic.go()
        time.sleep(0.4)
        right.run(["nft", rules])
        time.sleep(0.3)
        right.run(["nft", "delete table netdev t"])
        time.sleep(0.4)
        results = traffic.stop()
    for result in results:
        assert result.faults() == ()  # all was sent
        assert result.lost >= 16 * 25
        assert 290 <= result.worst_gap_ms <= 800


def test_the_end_of_a_flow_counts_as_gap(pair: tuple[Namespace, Namespace]) -> None:
    left, right = pair
    with Traffic(groups(left, right)) as traffic:
        traffic.go()
        time.sleep(0.3)
        right.run(["ip", "link", "set", "eth0", "down"])
        time.sleep(0.5)
        results = traffic.stop()
    assert all(result.worst_gap_ms >= 490 for result in results)


def test_what_could_not_be_sent_is_lost_and_said(pair: tuple[Namespace, Namespace]) -> None:
    left, right = pair
    with Traffic(groups(left, right)[:1]) as traffic:
        traffic.go()
        time.sleep(0.2)
        left.run(["ip", "addr", "flush", "dev", "eth0"])
        time.sleep(0.3)
        (result,) = traffic.stop()
    assert result.lost >= 16 * 20
    assert "Network is unreachable" in result.faults()[0]


def test_a_translated_source_is_not_kept(pair: tuple[Namespace, Namespace]) -> None:
    left, right = pair
    left.run(["ip", "addr", "add", "10.9.0.3/24", "dev", "eth0"])
    questions = [
        Question(name=name, asker=left, address=address, expected=expected)
        for name, address, expected in (
            ("own", "10.9.0.2", None),
            ("v6", "fd00:9::2", "fd00:9::1"),
            ("wrong", "10.9.0.2", "10.9.0.3"),
            ("nobody", "10.9.0.77", None),
        )
    ]
    with servers([right]):
        before = ask(questions)
        left.run(
            [
                "nft",
                "table ip n { chain c { type nat hook postrouting priority 100;"
                " ip protocol tcp snat to 10.9.0.3; }; }",
            ]
        )
        after = ask(questions[:1])
    assert [answer.kept for answer in before] == [True, True, False, False]
    assert [answer.kept for answer in after] == [False]
    assert after[0].seen == "10.9.0.3"


def test_pings_count_each_address(pair: tuple[Namespace, Namespace]) -> None:
    left, _ = pair
    good, also, bad = ping_all(left, ["10.9.0.2", "fd00:9::2", "10.9.0.77"])
    assert (good.lost, also.lost, bad.lost) == (0, 0, 3)


def test_a_flow_that_moves_between_two_places_of_one_address_is_counted_at_both(
    pair: tuple[Namespace, Namespace], make_namespace: Callable[[str], Namespace]
) -> None:
    left, right = pair
    third = make_namespace("third")
    join(left, "eth1", third, "eth0")
    for namespace, link, number in ((left, "eth1", 1), (third, "eth0", 2)):
        namespace.run(["ip", "addr", "add", f"10.8.0.{number}/24", "dev", link])
    for namespace in (right, third):
        namespace.run(["ip", "addr", "add", "10.7.0.1/32", "dev", "lo"])
    left.run(["ip", "route", "add", "10.7.0.1", "via", "10.9.0.2"])
    shared = Group(name="shared", source=left, target=right, also=(third,), address="10.7.0.1")
    with Traffic([shared]) as traffic:
        traffic.go()
        time.sleep(0.3)
        left.run(["ip", "route", "replace", "10.7.0.1", "via", "10.8.0.2"])
        time.sleep(0.3)
        left.run(["ip", "route", "replace", "10.7.0.1", "via", "10.9.0.2"])
        time.sleep(0.3)
        (result,) = traffic.stop()
    assert result.faults() == ()
    assert (result.lost, sum(flow.twice for flow in result.flows)) == (0, 0)
    assert result.worst_gap_ms < 250
