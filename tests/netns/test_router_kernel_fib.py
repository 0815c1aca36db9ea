"""FIB on the real kernel, in namespaces of their own."""

from __future__ import annotations

import json
import subprocess
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


def test_a_batch_goes_on_after_a_failure_and_names_it(node: Namespace) -> None:
    failures = inside(
        node,
        """
from router.kernel import route as wire
from router.model.fib import Route
go({"10.244.9.0/24": ((hop("10.0.0.0"),), 0)})
group = next(iter(fib.groups))
behind, wrong = (wire.tail(4, Route(g, 120, 0)) for g in (group, 1))
every = [Prefix(4, (20 << 24) + (i << 8), 24) for i in range(3000)]
parts = (every[:1500], behind), (every[1500:1501], wrong), (every[1501:], behind)
failed = channel.stream([wire.write(some, tail, replace=False) for some, tail in parts], "write")
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
