"""The agent's loop where routes carry their next hops themselves (ADR 0125)."""

from __future__ import annotations

import pytest

from router.kernel.monitor import Noticed
from router.model.fib import Form, Route
from tests.support.agent import Bench
from tests.support.bgp_events import down, update

PODS = ("10.244.2.0/24", "10.244.3.0/24")
BOTH = {"10.0.1.2", "10.0.2.2"}


@pytest.fixture
def bench() -> Bench:
    made = Bench(form=Form.PLAIN)
    made.establish("tor1", "tor2")
    made.step(update("tor1", *PODS), update("tor2", *PODS))
    assert made.routes() == dict.fromkeys(PODS, BOTH)
    assert not made.kernel.fib.groups
    return made


def test_a_session_that_ends_takes_its_next_hop_out_of_every_route_once(bench: Bench) -> None:
    before = len(bench.kernel.applied)
    bench.step(down("tor1"))
    assert bench.routes() == {pod: {"10.0.2.2"} for pod in PODS}
    assert sorted(bench.kernel.applied[before:]) == [
        f"replace {pod} via 10.0.2.2 on link 3 metric 120" for pod in PODS
    ]
    bench.step(down("tor2"))
    assert bench.routes() == {}


def test_a_link_without_carrier_leaves_every_route_and_returns(bench: Bench) -> None:
    bench.kernel.set_carrier("eth1", False)
    bench.step()
    assert bench.routes() == {pod: {"10.0.2.2"} for pod in PODS}
    bench.kernel.set_carrier("eth1", True)
    bench.step()
    assert bench.routes() == dict.fromkeys(PODS, BOTH)


@pytest.mark.parametrize(("index", "looks"), [(2, True), (77, False)])
def test_a_link_that_was_down_for_a_moment_is_looked_behind(
    bench: Bench, index: int, looks: bool
) -> None:
    """A route all of whose legs were on it is gone, and the kernel says nothing of that."""
    del bench.kernel.fib.routes[next(iter(bench.kernel.fib.routes))]
    bench.kernel.noticed = Noticed(links=True, fib=False, lost=frozenset({index}))
    bench.step()
    assert (len(bench.routes()) == len(PODS)) is looks


def test_what_others_do_to_routes_is_repaired_and_counted(bench: Bench) -> None:
    routes = bench.kernel.fib.routes
    first, second = routes
    del routes[first]
    routes[second] = Route(0, 120, 0, ())
    bench.kernel.noticed = Noticed(links=False, fib=True)
    bench.step()
    assert bench.routes() == dict.fromkeys(PODS, BOTH)
    assert bench.agent.forwarding.repairs == 2


def test_an_agent_that_has_objects_again_takes_the_routes_over(bench: Bench) -> None:
    after = Bench(bench.kernel)
    after.establish("tor1", "tor2")
    before = len(bench.kernel.applied)
    after.step(update("tor1", *PODS), update("tor2", *PODS))
    assert after.routes() == dict.fromkeys(PODS, BOTH)
    assert {route.form for route in bench.kernel.fib.routes.values()} == {Form.OBJECTS}
    written = [line.split()[0] for line in bench.kernel.applied[before:] if PODS[0][:6] in line]
    assert "remove" not in written
    assert "install" not in written
