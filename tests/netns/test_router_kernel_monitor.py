"""What the monitor notices of the real kernel, in namespaces of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.kernel_script import add_links, inside
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    namespace = make_namespace("node")
    add_links(namespace)
    return namespace


def test_losing_carrier_takes_the_leg_and_the_monitor_notices(node: Namespace) -> None:
    noticed, before, after, again = inside(
        node,
        """
import subprocess, time
a, b = hop("10.0.0.0"), hop("10.0.0.2")
go({"10.244.2.0/24": ((a, b), 0)})
before = len(fib.hops_behind(next(iter(fib.groups))))
woken = []
monitor = Monitor(table.port_id, lambda: woken.append(1))
subprocess.run(["ip", "link", "set", "u2", "down"], check=True)
end = time.monotonic() + 10
while not woken and time.monotonic() < end: time.sleep(0.01)
noticed = monitor.take()
reason = hop("10.0.0.0")
fib = table.observe()
after = len(fib.hops_behind(next(iter(fib.groups))))
subprocess.run(["ip", "link", "set", "u2", "up"], check=True)
while isinstance(hop("10.0.0.0"), str) and time.monotonic() < end: time.sleep(0.01)
plan, refused = go({"10.244.2.0/24": ((hop("10.0.0.0"), b), 0)})
monitor.close()
print(json.dumps([noticed.links, before, [after, reason], [plan, refused]]))
""",
    )
    assert noticed is True
    assert before == 2
    assert after == [1, "link u1 toward next hop 10.0.0.0 has no carrier"]
    plan, refused = again
    assert refused == []
    # The route itself is not written again: its group got the leg back.
    assert not any(line.startswith(("install", "replace")) for line in plan)


def test_a_link_that_was_down_for_a_moment_is_remembered(node: Namespace) -> None:
    assert inside(
        node,
        """
import subprocess, time
monitor = Monitor(table.port_id, lambda: None)
def lost_by(name, *lines):
    index = next(link.index for link in links.observe().all if link.name == name)
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines), text=True, check=True)
    lost, end = set(), time.monotonic() + 10
    while index not in lost and time.monotonic() < end:
        time.sleep(0.01)
        lost |= monitor.take().lost
    return index in lost
link = lost_by("u1", "link set u1 down", "link set u1 up")
address = lost_by("w1", "address del 10.0.0.3/31 dev w1", "address add 10.0.0.3/31 dev w1")
monitor.close()
print(json.dumps([link, address]))
""",
    ) == [True, True]


def test_own_writes_are_not_noticed_but_foreign_deletions_are(node: Namespace) -> None:
    own, foreign = inside(
        node,
        """
import subprocess, time
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0)})
monitor = Monitor(table.port_id, lambda: None)
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0), "10.244.2.0/24": ((hop("10.0.0.2"),), 0)})
subprocess.run(["ip", "link", "set", "w2", "txqueuelen", "77"], check=True)
end = time.monotonic() + 10
def next_noticed():
    while time.monotonic() < end:
        seen = monitor.take()
        if seen.links or seen.fib: return seen
        time.sleep(0.01)
own = next_noticed()
subprocess.run(["ip", "route", "del", "10.244.9.0/24", "proto", "74"], check=True)
foreign = next_noticed()
monitor.close()
print(json.dumps([[own.links, own.fib], [foreign.links, foreign.fib]]))
""",
    )
    assert own == [True, False]
    assert foreign == [False, True]


def test_a_full_table_of_our_own_is_not_noticed(node: Namespace) -> None:
    """More notifications than the monitor's buffer has room for, while nobody reads them."""
    noticed, foreign = inside(
        node,
        """
import subprocess, time
from router.kernel import route as wire
from router.model.fib import Route
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0)})
group = next(iter(fib.groups))
behind = wire.tail(4, Route(group, 120, 0))
every = [Prefix(4, (20 << 24) + (i << 8), 24) for i in range(30000)]
monitor = Monitor(table.port_id, lambda: None)
monitor._lock.acquire()
monitor._links = monitor._fib = False
assert not channel.stream([wire.write(every, behind, replace=False)], "write")
monitor._lock.release()
time.sleep(0.5)
seen = monitor.take()
subprocess.run("ip route del 20.0.7.0/24 proto 74".split(), check=True)
end = time.monotonic() + 10
after = monitor.take()
while not after.fib and time.monotonic() < end:
    time.sleep(0.01); after = monitor.take()
monitor.close()
print(json.dumps([[seen.links, seen.fib], after.fib]))
""",
    )
    assert noticed == [False, False]
    assert foreign is True


def test_pod_links_are_no_news(node: Namespace) -> None:
    node.run(["ip", "link", "set", "w2", "group", "28786"])
    names = inside(node, "print(json.dumps([link.name for link in links.observe().all]))")
    assert names == ["lo", "u2", "u1", "w1"]


def test_a_foreign_route_in_place_of_ours_is_noticed(node: Namespace) -> None:
    noticed = inside(
        node,
        """
import subprocess, time
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0)})
monitor = Monitor(table.port_id, lambda: None)
subprocess.run("ip route replace 10.244.9.0/24 via 10.0.0.2 metric 120 proto static".split(),
               check=True)
end = time.monotonic() + 10
seen = monitor.take()
while not seen.fib and time.monotonic() < end:
    time.sleep(0.01); seen = monitor.take()
monitor.close()
print(json.dumps(seen.fib))
""",
    )
    assert noticed is True
