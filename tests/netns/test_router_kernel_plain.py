"""Routes that carry their next hops themselves, on the real kernel (ADR 0125)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.kernel_script import add_links, inside
from tests.support.netns import Namespace

pytestmark = pytest.mark.netns

PLAIN = "form = Form.PLAIN\n"
A, B, SIX = 'hop("10.0.0.0")', 'hop("10.0.0.2")', 'hop("fd00::")'
TWO_SIXES = 'SIX = hop("fd00::"), hop("fd00:1::")\n'


@pytest.fixture
def node(make_namespace: Callable[[str], Namespace]) -> Namespace:
    namespace = make_namespace("node")
    add_links(namespace)
    namespace.run(["ip", "-6", "addr", "add", "fd00:1::1/127", "dev", "w1", "nodad"])
    return namespace


def shown(node: Namespace, family: str = "-4") -> list[dict[str, Any]]:
    """Return our routes as `ip` shows them."""
    text = node.run(["ip", "-j", "-d", family, "route", "show", "proto", "74"]).stdout
    listed: list[dict[str, Any]] = json.loads(text or "[]")
    return listed


def legs(route: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (gateway, device) of a route."""
    return {
        (leg.get("gateway") or leg["via"]["host"], leg["dev"])
        for leg in route.get("nexthops", [route])
    }


def objects(node: Namespace) -> str:
    return node.run(["ip", "nexthop"]).stdout


def test_both_families_and_ipv4_via_inet6_as_the_kernel_has_them(node: Namespace) -> None:
    inside(
        node,
        PLAIN
        + TWO_SIXES
        + f"""
ll = Hop(6, num("fe80::1"), {A}.ifindex)
go({{"10.244.2.0/24": (({A}, {B}), num("10.255.1.1")), "10.244.3.0/24": (({A},), 0),
     "10.244.4.0/24": ((ll,), 0), "10.244.5.0/24": ((ll, {B}), 0),
     "fd00:244:2::/64": (SIX, num("fd00:255::1")), "fd00:244:3::/64": (SIX[:1], 0)}})
print("{{}}")
""",
    )
    routes = {route["dst"]: route for route in shown(node)}
    assert {dst: legs(route) for dst, route in routes.items()} == {
        "10.244.2.0/24": {("10.0.0.0", "u1"), ("10.0.0.2", "w1")},
        "10.244.3.0/24": {("10.0.0.0", "u1")},
        "10.244.4.0/24": {("fe80::1", "u1")},
        "10.244.5.0/24": {("fe80::1", "u1"), ("10.0.0.2", "w1")},
    }
    assert routes["10.244.2.0/24"]["prefsrc"] == "10.255.1.1"
    assert {route["metric"] for route in routes.values()} == {120}
    sixes = {route["dst"]: route for route in shown(node, "-6")}
    assert legs(sixes["fd00:244:2::/64"]) == {("fd00::", "u1"), ("fd00:1::", "w1")}
    assert sixes["fd00:244:2::/64"]["prefsrc"] == "fd00:255::1"
    assert legs(sixes["fd00:244:3::/64"]) == {("fd00::", "u1")}
    assert objects(node) == ""


WANTED = f"""
WANTED = {{"10.244.2.0/24": (({A}, {B}), 0), "10.244.3.0/24": (({A},), 0),
          "fd00:244:2::/64": (SIX, 0), "fd00:244:3::/64": (SIX[:1], 0)}}
"""


@pytest.mark.parametrize("order", [("OBJECTS", "PLAIN"), ("PLAIN", "OBJECTS")])
def test_what_the_other_form_left_is_replaced_not_removed(
    node: Namespace, order: tuple[str, str]
) -> None:
    """No destination is without a route for a moment; the control is a deletion at the end."""
    first, second = order
    plan, again, deletions, control = inside(
        node,
        TWO_SIXES
        + WANTED
        + f"""
import socket, subprocess
from router.kernel.message import messages
def deletions():
    count = 0
    while True:
        try: count += sum(kind == 25 for kind, *_ in messages(ears.recv(1 << 16)))
        except BlockingIOError: return count
form = Form.{first}
go(WANTED)
ears = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
ears.setblocking(False)
ears.bind((0, 0x40 | 0x400))  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
table = FibTable(channel); fib = table.observe(); form = Form.{second}
plan, refused = go(WANTED)
assert not refused, refused
again, _ = go(WANTED)
seen = deletions()
subprocess.run("ip route del 10.244.3.0/24 proto 74".split(), check=True)
print(json.dumps([plan, again, seen, deletions()]))
""",
    )
    assert sum(line.startswith("replace") for line in plan) == 4
    assert not [line for line in plan if line.startswith(("remove", "install"))]
    assert again == []
    assert (deletions, control) == (0, 1)
    assert bool(objects(node)) == (second == "OBJECTS")
    assert sorted(len(legs(r)) for f in ("-4", "-6") for r in shown(node, f)) == [1, 2, 2]


def test_what_others_made_of_it_is_repaired(node: Namespace) -> None:
    script = (
        PLAIN
        + TWO_SIXES
        + WANTED
        + """
import subprocess
go(WANTED)
for words in CHANGES:
    subprocess.run(["ip", *words.split()], check=True)
fib = table.observe()
plan, refused = go(WANTED)
assert not refused, refused
print(json.dumps(plan))
"""
    )
    changes = [
        "route replace 10.244.2.0/24 via 10.0.0.2 proto 74 metric 120",
        "route replace blackhole 10.244.3.0/24 proto 74 metric 120",
        "-6 route append fd00:244:3::/64 via fd00:1:: dev w1 proto 74 metric 120",
        "-6 route del fd00:244:2::/64 via fd00:: dev u1 proto 74 metric 120",
    ]
    plan = inside(node, f"CHANGES = {changes!r}\n" + script)
    assert sorted(line.split()[1] for line in plan) == [
        "10.244.2.0/24",
        "10.244.3.0/24",
        "fd00:244:2::/64",
        "fd00:244:3::/64",
    ]
    assert [line for line in plan if not line.startswith("replace")] == []
    assert sorted(len(legs(r)) for f in ("-4", "-6") for r in shown(node, f)) == [1, 1, 2, 2]


def test_weights_of_others_are_not_ours(node: Namespace) -> None:
    plan = inside(
        node,
        PLAIN
        + f"""
import subprocess
W = {{"10.244.2.0/24": (({A}, {B}), 0)}}
go(W)
subprocess.run("ip route replace 10.244.2.0/24 proto 74 metric 120 nexthop via 10.0.0.0 dev u1"
               " weight 1 nexthop via 10.0.0.2 dev w1 weight 5".split(), check=True)
fib = table.observe()
print(json.dumps(go(W)[0]))
""",
    )
    assert len(plan) == 1
    (route,) = shown(node)
    assert {leg["weight"] for leg in route["nexthops"]} == {1}


def test_a_foreign_route_is_never_replaced(node: Namespace) -> None:
    node.run(["ip", "route", "add", "10.244.2.0/24", "via", "10.0.0.0", "metric", "120"])
    node.run(["ip", "route", "add", "fd00:244:2::/64", "via", "fd00::", "metric", "120"])
    _, refused = inside(
        node,
        PLAIN
        + TWO_SIXES
        + f"""
wanted = {{"10.244.2.0/24": (({A}, {B}), 0), "fd00:244:2::/64": (SIX, 0)}}
print(json.dumps(go(wanted)))
""",
    )
    assert [errno for _, errno in refused] == [17, 17]
    assert shown(node) == shown(node, "-6") == []


def test_a_leg_that_lost_its_link_leaves_the_route_and_returns(node: Namespace) -> None:
    """`u2` down takes the carrier of `u1`, `w1` itself is set down: both ways to lose a leg."""
    for far_or_own, name in (("u2", "u1"), ("w1", "w1")):
        gone, back = inside(
            node,
            PLAIN
            + TWO_SIXES
            + WANTED
            + f"""
import subprocess, time
go(WANTED)
subprocess.run("ip link set {far_or_own} down".split(), check=True)
end = time.monotonic() + 10
def is_gone(address): return isinstance(hop(address), str)
while is_gone("10.0.0.0") == is_gone("10.0.0.2") and time.monotonic() < end: time.sleep(0.01)
def live(hops): return tuple(h for h in hops if h.ifindex != {{"u1": links.observe().named("u1"),
    "w1": links.observe().named("w1")}}["{name}"].index)
left = {{p: (live(hops), s) for p, (hops, s) in WANTED.items() if live(hops)}}
fib = table.observe()
gone, refused = go(left)
assert not refused, refused
subprocess.run("ip link set {far_or_own} up".split(), check=True)
while (is_gone("10.0.0.0") or is_gone("10.0.0.2")) and time.monotonic() < end: time.sleep(0.01)
subprocess.run("ip -6 addr replace fd00:1::1/127 dev w1 nodad".split(), check=True)
fib = table.observe()
back, refused = go(WANTED)
assert not refused, refused
print(json.dumps([gone, back]))
""",
        )
        assert any("10.244.2.0/24" in line for line in gone)
        assert any("fd00:244:2::/64" in line for line in gone)
        assert any("10.244.2.0/24" in line for line in back)
        assert sorted(len(legs(r)) for f in ("-4", "-6") for r in shown(node, f)) == [1, 1, 2, 2]


REFUSING = """
import errno
from router.kernel.errors import KernelError
from router.kernel.form import choose_form
from router.model.fib import Nexthops
class Refusing(Channel):
    def batch(self, requests, what=""):
        if any(r[4:6] == (104).to_bytes(2, "little") for r in requests):
            from router.kernel.channel import Failure
            return [Failure(index=0, errno=getattr(errno, CODE), detail="")]
        return super().batch(requests, what)
"""


@pytest.mark.parametrize(
    ("code", "asked", "form"),
    [
        ("EOPNOTSUPP", "AUTO", "PLAIN"),
        ("EINVAL", "AUTO", "PLAIN"),
        ("EPERM", "AUTO", "OBJECTS"),
        ("EOPNOTSUPP", "OBJECTS", "OBJECTS"),
    ],
)
def test_auto_asks_the_kernel_once(node: Namespace, code: str, asked: str, form: str) -> None:
    chosen = inside(
        node,
        f"CODE = {code!r}\n" + REFUSING + f"print(json.dumps(choose_form(Nexthops.{asked},"
        " Refusing()).name))",
    )
    assert chosen == form


def test_this_kernel_has_objects_and_asking_leaves_none(node: Namespace) -> None:
    chosen = inside(
        node,
        REFUSING + "print(json.dumps(choose_form(Nexthops.AUTO, channel).name))",
    )
    assert chosen == "OBJECTS"
    assert objects(node) == ""


def test_an_object_left_by_asking_goes(node: Namespace) -> None:
    node.run(["ip", "nexthop", "add", "id", str(0x7072_0000 - 1), "blackhole", "proto", "74"])
    inside(node, PLAIN + 'go({}); print("{}")')
    assert objects(node) == ""
