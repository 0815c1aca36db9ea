"""FIB, links and monitor on the real kernel, in namespaces of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace

pytestmark = pytest.mark.netns
ROOT = Path(__file__).resolve().parents[2]

LINKS = """
ip link add name u1 type veth peer name u2; ip link add name w1 type veth peer name w2
for i in u1 u2 w1 w2; do ip link set $i up; done
ip addr add 10.0.0.1/31 dev u1; ip addr add 10.0.0.3/31 dev w1; ip addr add 10.255.1.1/32 dev lo
ip -6 addr add fd00::1/127 dev u1 nodad; ip -6 addr add fd00:255::1/128 dev lo
"""

PRELUDE = """
import json, sys
from ipaddress import ip_address
from bgp.nlri import Prefix
from router.kernel.channel import Channel
from router.kernel.fib import FibTable
from router.kernel.link import LinkTable
from router.kernel.monitor import Monitor
from router.model.fib import Hop
from router.reconcile.fib import Want, plan_own, plan_routes, plan_unused
from router.reconcile.learned import resolve
from router.reconcile.operation import record
channel = Channel(); table = FibTable(channel); links = LinkTable(); fib = table.observe()
def hop(text): return resolve(ip_address(text), links.observe())
def num(text): return int(ip_address(text))
def go(wanted, keep=frozenset()):
    global fib
    wanted = {Prefix.parse(p): Want(tuple(sorted(hops)), 120, s) for p, (hops, s) in wanted.items()}
    plan = plan_routes(fib, wanted, wanted.keys() | fib.routes.keys(), keep=keep)
    refused = table.apply(plan)
    for o in plan:
        if o not in [r.operation for r in refused]: record(fib, o)
    done = plan_unused(fib)
    assert table.apply(done) == []
    for o in done: record(fib, o)
    seen = table.observe()
    if not refused: assert seen == fib, (seen, fib)
    return [o.describe() for o in plan], [(r.operation.describe(), r.errno) for r in refused]
"""


def inside(namespace: Namespace, script: str) -> Any:
    """Run a Python script in the namespace; its last line prints JSON."""
    done = namespace.run(
        ["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", PRELUDE + script], timeout_s=60
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    namespace = make_namespace("node")
    # Addresses that become usable after a while would be news about links.
    namespace.write_sysctl("net.ipv6.conf.default.accept_dad", 0)
    namespace.run(["sh", "-ec", LINKS])
    return namespace


def test_dual_stack_ecmp_routes_have_source_protocol_and_group(node: Namespace) -> None:
    inside(
        node,
        """
a, b, c = hop("10.0.0.0"), hop("10.0.0.2"), hop("fd00::")
go({"10.244.2.0/24": ((a, b), num("10.255.1.1")), "fd00:244:2::/64": ((c,), num("fd00:255::1"))})
print("{}")
""",
    )
    (route,) = json.loads(node.run(["ip", "-j", "route", "show", "proto", "74"]).stdout)
    assert route["prefsrc"] == "10.255.1.1"
    assert route["metric"] == 120
    legs = {(leg["gateway"], leg["dev"]) for leg in route["nexthops"]}
    assert legs == {("10.0.0.0", "u1"), ("10.0.0.2", "w1")}
    (route6,) = json.loads(node.run(["ip", "-6", "-j", "route", "show", "proto", "74"]).stdout)
    assert (route6["dst"], route6["prefsrc"]) == ("fd00:244:2::/64", "fd00:255::1")


def test_a_foreign_route_is_never_replaced(node: Namespace) -> None:
    node.run(["ip", "route", "add", "10.244.2.0/24", "via", "10.0.0.0", "metric", "120"])
    _, refused = inside(node, 'print(json.dumps(go({"10.244.2.0/24": ((hop("10.0.0.2"),), 0)})))')
    assert [errno for _, errno in refused] == [17]
    shown = node.run(["ip", "route", "show", "10.244.2.0/24"]).stdout
    assert "via 10.0.0.0 dev u1 metric 120" in shown
    assert "proto 74" not in shown


def test_unreachable_routes_and_foreign_nexthop_ids(node: Namespace) -> None:
    node.run(["ip", "nexthop", "add", "id", "1886519296", "via", "10.0.0.0", "dev", "u1"])
    result = inside(
        node,
        """
write, remove = plan_own(fib, frozenset({Prefix.parse("10.244.1.0/24")}))
assert table.apply(write) == [] and remove == []
fib = table.observe()
plan, refused = go({"10.244.2.0/24": ((hop("10.0.0.0"),), 0)})
fib = table.observe()
write, remove = plan_own(fib, frozenset())
print(json.dumps([plan, refused, [o.describe() for o in remove]]))
""",
    )
    plan, refused, remove = result
    assert refused == []
    assert remove == ["remove unreachable 10.244.1.0/24"]
    assert not any("1886519296" in line for line in plan)
    assert "unreachable 10.244.1.0/24 proto 75" in node.run(["ip", "route"]).stdout


def test_losing_carrier_takes_the_leg_and_the_monitor_notices(node: Namespace) -> None:
    noticed, before, after, again = inside(
        node,
        """
import subprocess, time
a, b = hop("10.0.0.0"), hop("10.0.0.2")
go({"10.244.2.0/24": ((a, b), 0)})
before = len(fib.hops_of(next(iter(fib.groups))))
woken = []
monitor = Monitor(table.port_id, lambda: woken.append(1))
subprocess.run(["ip", "link", "set", "u2", "down"], check=True)
end = time.monotonic() + 10
while not woken and time.monotonic() < end: time.sleep(0.01)
noticed = monitor.take()
reason = hop("10.0.0.0")
fib = table.observe()
after = len(fib.hops_of(next(iter(fib.groups))))
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
batch = [wire.write(Prefix(4, (20 << 24) + (i << 8), 24), Route(group, 120, 0), replace=False)
         for i in range(30000)]
monitor = Monitor(table.port_id, lambda: None)
monitor._lock.acquire()
monitor._links = monitor._fib = False
assert not channel.batch(batch)
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


def test_a_namespace_without_any_route_has_an_empty_fib(
    make_namespace: Callable[[str], Namespace],
) -> None:
    namespace = make_namespace("empty")
    namespace.run(["ip", "link", "set", "lo", "down"])
    assert inside(namespace, "print(json.dumps([len(fib.routes), len(fib.groups)]))") == [0, 0]


def test_default_gateways_among_many_foreign_routes(node: Namespace) -> None:
    four = [f"route add 20.{i // 250}.{i % 250}.0/24 via 10.0.0.0" for i in range(12000)]
    four.append("route add default nexthop via 10.0.0.0 dev u1 nexthop via 10.0.0.2 dev w1")
    six = [f"route add fd20:{i:x}::/64 via fd00:: dev u1" for i in range(12000)]
    six.append("route add default via fd00:: dev u1 proto ra")
    node.run(["ip", "-4", "-batch", "-"], input="\n".join(four), timeout_s=60)
    node.run(["ip", "-6", "-batch", "-"], input="\n".join(six), timeout_s=60)
    gateways, advertised, count = inside(
        node,
        """
import time
found = [(links.gateways(), links.advertised(), len(links.observe().all)) for _ in range(3)]
g, a, n = found[-1]
print(json.dumps([[str(x) for x in g], a, n]))
""",
    )
    assert gateways == ["10.0.0.0", "10.0.0.2", "fd00::"]
    assert advertised == ["u1"]
    assert count == 5


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


def test_a_batch_goes_on_after_a_failure_and_names_it(node: Namespace) -> None:
    failures = inside(
        node,
        """
from router.kernel import route as wire
from router.model.fib import Route
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0)})
group = next(iter(fib.groups))
batch = [wire.write(Prefix(4, (20 << 24) + (i << 8), 24), Route(group if i != 1500 else 1, 120, 0),
         replace=False) for i in range(3000)]
failed = channel.batch(batch)
print(json.dumps([[(f.index, f.errno, f.detail) for f in failed], len(table.observe().routes)]))
""",
    )
    (failure,), count = failures
    assert failure[0] == 1500
    assert "exist" in failure[2]
    assert count == 3000  # 2999 and the first one


def test_no_trace_in_the_root_namespace() -> None:
    shown = subprocess.run(
        ["ip", "route", "show", "table", "all", "proto", "74"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown == ""
