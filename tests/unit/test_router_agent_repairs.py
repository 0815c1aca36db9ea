"""The agent's loop against models: what others take from the kernel comes back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgp.event import Change, Updated
from bgp.nlri import Prefix
from bgp.path import Attributes
from bgp.peer_id import PeerId
from router.agent.why import Pods, Subject, why
from router.cli.why import render
from router.kernel.monitor import Noticed
from tests.support.agent import Bench
from tests.support.bgp_events import update

POD = "10.244.2.0/24"
OWN = Prefix.parse("10.244.1.0/24")
BOTH = {"10.0.1.2", "10.0.2.2"}


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.establish("tor1", "tor2")
    made.step(update("tor1", POD), update("tor2", POD))
    assert made.routes() == {POD: BOTH}
    return made


def test_what_others_delete_is_repaired_and_counted(bench: Bench) -> None:
    bench.kernel.fib.routes.clear()
    bench.kernel.fib.groups.clear()
    bench.kernel.fib.nexthops.clear()
    bench.kernel.fib.unreachables.clear()
    bench.kernel.noticed = Noticed(links=False, fib=True)
    bench.step()
    assert bench.routes() == {POD: BOTH}
    assert bench.kernel.fib.unreachables == {OWN}
    assert bench.agent.forwarding.repairs == 1


def test_a_next_hop_that_the_kernel_refuses_holds_nothing_else_back(bench: Bench) -> None:
    """The group was left as it was, with legs that nobody wanted any more."""
    other = "10.244.3.0/24"
    bench.kernel.fib.nexthops.clear()
    bench.kernel.fib.groups.clear()
    bench.kernel.fib.routes.clear()
    bench.kernel.bad_gateways = {"10.0.2.2"}
    bench.kernel.noticed = Noticed(links=False, fib=True)
    bench.step(update("tor1", other), update("tor2", other))
    assert bench.routes() == {POD: {"10.0.1.2"}, other: {"10.0.1.2"}}
    bench.step(update("tor1", withdrawn=[POD]))
    assert bench.routes() == {other: {"10.0.1.2"}}
    assert bench.agent.forwarding.why_not(Prefix.parse(POD)).endswith("next hop 10.0.2.2: bad")
    before = len(bench.kernel.applied)
    bench.step(after_s=1)
    assert len(bench.kernel.applied) == before

    bench.kernel.bad_gateways = set()
    bench.step(after_s=30)
    assert bench.routes() == {POD: {"10.0.2.2"}, other: BOTH}


@pytest.mark.parametrize("index", [1, 2])
def test_a_link_that_was_down_between_two_looks_is_repaired(bench: Bench, index: int) -> None:
    """That of a next hop, and that of the preferred source: both took routes with them."""
    bench.kernel.drop_hops_on(2)
    bench.kernel.noticed = Noticed(links=True, fib=False, lost=frozenset({index}))
    bench.step()
    assert bench.routes() == {POD: BOTH}


def test_a_pods_link_that_goes_makes_nobody_read_the_fib(bench: Bench) -> None:
    bench.kernel.drop_hops_on(2)
    bench.kernel.noticed = Noticed(links=True, fib=False, lost=frozenset({77}))
    bench.step()
    assert bench.routes() != {POD: BOTH}


def test_without_a_notification_the_timer_repairs(bench: Bench) -> None:
    bench.kernel.fib.routes.clear()
    bench.step(after_s=31)
    assert bench.routes() == {POD: BOTH}


def test_a_longer_way_takes_over_from_one_whose_link_is_cut(bench: Bench) -> None:
    """As for a ToR's own address: the way by the other ToR is longer, and all there is now."""
    longer = Attributes(next_hop=ip_address("10.0.2.2"), as_path=(65102, 65000, 65202))
    detour = Change(longer, (Prefix.parse(POD),))
    bench.step(Updated(peer=PeerId("tor2"), changes=(detour,)))
    assert bench.routes() == {POD: {"10.0.1.2"}}
    bench.kernel.set_carrier("eth1", False)
    bench.step()
    assert bench.routes() == {POD: {"10.0.2.2"}}
    paths = why(bench.agent, Subject.parse(POD), Pods({"pods": []}))["learned"]["paths"]
    reasons = {path["peer"]: path["why_not_best"] for path in paths}
    assert reasons == {"tor1": "link eth1 toward this peer has no carrier", "tor2": None}
    bench.kernel.set_carrier("eth1", True)
    bench.step()
    assert bench.routes() == {POD: {"10.0.1.2"}}


def test_our_own_prefix_that_comes_back_is_no_riddle(bench: Bench) -> None:
    bench.step(update("tor1", str(OWN)))
    shown = render(why(bench.agent, Subject.parse(str(OWN)), Pods({"pods": []})))
    assert "kernel      unreachable route" in shown
    assert "no accepted path" not in shown
