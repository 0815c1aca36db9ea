"""Aggregates of Services' addresses through the agent's loop."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from bgp.nlri import Prefix
from router.agent import service_view, view
from router.agent.why import Pods, Subject, why
from router.cli import tables
from router.model.aggregate import Rejections
from router.model.service import Facts, Key, Services, ServiceView
from router.model.service import Serving as Flags
from tests.support.agent import CONFIG, Bench

NET = Prefix.parse("203.0.113.0/24")
VIP, LOCAL_VIP = Prefix.parse("203.0.113.7"), Prefix.parse("203.0.113.8")
WEB = ServiceView(key=Key("shop", "web"), load_balancer=(ip_address("203.0.113.7"),))
LOCAL = ServiceView(
    key=Key("shop", "local"), load_balancer=(ip_address("203.0.113.8"),), external_local=True
)
HERE = Flags.READY | Flags.READY_HERE
WANTED = CONFIG.replace(
    "true}", "true, services: {load_balancer: true, aggregate: {ipv4: 24}}}", 1
).replace("cluster: {", "cluster: {service_prefixes: [203.0.112.0/22], ")


def services(*views: ServiceView, serving: Flags = HERE) -> Services:
    return Services(is_known=True, found={v.key: Facts(v, {4: serving}) for v in views})


@pytest.fixture
def bench() -> Bench:
    made = Bench(config=WANTED, cluster=True)
    made.establish("tor1", "tor2")
    return made


def tell(bench: Bench, found: Services) -> None:
    bench.agent.serving.services = found
    bench.step()
    bench.step()


def announced(bench: Bench) -> set[Prefix]:
    return {
        p
        for p in bench.speaker.configured[-1].networks
        if p.to_network().is_global or NET.covers(p)
    }


def test_announced_when_its_unused_addresses_are_rejected(bench: Bench) -> None:
    tell(bench, services(WEB, LOCAL))
    assert announced(bench) == {NET, LOCAL_VIP}
    assert bench.rejections.table.prefixes == {NET}
    assert NET not in bench.kernel.fib.unreachables
    tell(bench, services(LOCAL))
    assert announced(bench) == {LOCAL_VIP}
    assert not bench.rejections.table.exists


def test_rejected_until_the_withdrawal_is_acknowledged(bench: Bench) -> None:
    tell(bench, services(WEB))
    bench.speaker.settled = False
    tell(bench, services())
    assert announced(bench) == set()
    assert bench.rejections.table.prefixes == {NET}
    bench.speaker.settled = True
    bench.step()
    assert not bench.rejections.table.exists


def test_the_single_address_stays_until_the_aggregate_is_acknowledged(bench: Bench) -> None:
    bench.rejections.problem = "no nf_tables"
    tell(bench, services(WEB))
    assert announced(bench) == {VIP}
    assert "203.0.113.0/24 are announced one by one: no nf_tables" in str(
        view.status(bench.agent, bench.now)["reasons"]
    )
    bench.rejections.problem = ""
    bench.rejections.disturbed = True
    bench.speaker.settled = False
    bench.step(after_s=2)
    bench.step()
    assert announced(bench) == {NET, VIP}
    bench.speaker.settled = True
    bench.step()
    assert announced(bench) == {NET}


def test_repaired_when_somebody_flushes_it(bench: Bench) -> None:
    tell(bench, services(WEB))
    bench.rejections.flush()
    bench.step(after_s=1)
    assert bench.rejections.table.prefixes == {NET}
    assert bench.agent.rejecting.repairs == 1
    assert announced(bench) == {NET}


def looks(bench: Bench) -> int:
    """Count the looks at a table that others disturb for two seconds."""
    count = 0
    observe = bench.rejections.observe

    def counting() -> Rejections:
        nonlocal count
        count += 1
        return observe()

    bench.rejections.observe = counting  # type: ignore[method-assign]
    for _ in range(20):
        bench.rejections.disturbed = True
        bench.step(after_s=0.1)
    return count


def test_others_who_change_nf_tables_all_the_time_cost_one_look_a_second(bench: Bench) -> None:
    tell(bench, services(WEB))
    assert looks(bench) <= 3


def test_others_who_change_nf_tables_cost_no_look_where_nothing_is_ours(bench: Bench) -> None:
    tell(bench, services())
    assert looks(bench) == 0


def test_a_start_without_the_api_keeps_what_is_rejected(bench: Bench) -> None:
    tell(bench, services(WEB))
    fresh = Bench(config=WANTED, cluster=True)
    fresh.rejections.table = bench.rejections.table
    fresh.agent.serving._longest_s = 30.0
    fresh.agent.serving._began = fresh.now
    fresh.step()
    assert fresh.rejections.table.prefixes == {NET}
    fresh.agent.serving.services = services()
    fresh.step()
    assert not fresh.rejections.table.exists


def test_says_nothing_about_readiness(bench: Bench) -> None:
    state = bench.agent.verdict.state
    tell(bench, services(WEB))
    bench.step(after_s=100)
    assert bench.agent.verdict.state is state


def test_what_people_see(bench: Bench) -> None:
    elsewhere = replace(WEB, key=Key("shop", "far"), load_balancer=(ip_address("192.0.2.1"),))
    tell(bench, services(WEB, LOCAL, elsewhere))
    shown = tables.services(service_view.services(bench.agent)).splitlines()
    (of_web,) = (line for line in shown if "shop/web" in line)
    assert of_web.split()[-3:] == ["yes", "by", "203.0.113.0/24"]
    assert any(line.split() == ["203.0.113.0/24", "yes", "rejected"] for line in shown)
    counts = view.status(bench.agent, bench.now)["services"]
    assert (counts["addresses"], counts["announced"]) == (3, 3)
    assert counts["aggregates"] == ["203.0.113.0/24"]


def ask(bench: Bench, text: str) -> tuple[str, str]:
    answer = why(bench.agent, Subject.parse(text), Pods({"pods": []}))
    return str(answer["outcome"]), str(answer["verdict"])


def test_why(bench: Bench) -> None:
    tell(bench, services(WEB))
    assert ask(bench, "203.0.113.7")[1] == (
        "203.0.113.7 is this node's (load balancer of Service shop/web);"
        " 203.0.113.0/24 is announced to nobody: not sent yet"
    )
    outcome, text = ask(bench, "203.0.113.99")
    assert outcome == "does-not"
    assert text.startswith("203.0.113.99 is no Service's, so this node rejects it")
