"""Addresses of Services through the agent's loop: announced, withdrawn, never in the kernel."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from bgp.nlri import Prefix
from router.agent import service_view, view
from router.agent.circumstances import Circumstances
from router.agent.service_file import NoServiceMemory, Remembered, ServiceFile, ServiceMemory
from router.agent.serving import PATIENCE_S, Serving
from router.agent.why import Pods, Subject, why
from router.cli import tables
from router.model.link import Links
from router.model.service import Facts, Key, Services, ServiceView
from router.model.service import Serving as Flags
from router.reconcile.learned import Metrics
from tests.support.agent import CONFIG, Bench, settings_of
from tests.support.bgp_events import update

VIP = Prefix.parse("203.0.113.7")
WEB = ServiceView(
    key=Key("shop", "web"), load_balancer=(ip_address("203.0.113.7"),), external_local=True
)
HERE = Flags.READY | Flags.READY_HERE
WANTED = CONFIG.replace("true}", "true, services: {load_balancer: true}}", 1) + (
    "import: {also_accept: [{prefix: 203.0.113.0/24, le: 32}]}\n"
)


def services(serving: Flags, web: ServiceView = WEB) -> Services:
    return Services(is_known=True, found={web.key: Facts(web, {4: serving, 6: Flags(0)})})


@pytest.fixture
def bench() -> Bench:
    made = Bench(config=WANTED, cluster=True)
    made.establish("tor1", "tor2")
    return made


def networks(bench: Bench) -> set[Prefix]:
    return set(bench.speaker.configured[-1].networks)


def tell(bench: Bench, found: Services) -> None:
    bench.agent.serving.services = found
    bench.step()


def test_announced_with_a_ready_endpoint_and_withdrawn_when_it_terminates(bench: Bench) -> None:
    before = networks(bench)
    tell(bench, services(HERE))
    assert networks(bench) == before | {VIP}
    tell(bench, services(Flags.LEAVING | Flags.LEAVING_HERE))
    assert networks(bench) == before
    shown = service_view.services(bench.agent)["services"]
    assert [(each["announced"], each["why_not"]) for each in shown] == [
        (False, "its last endpoints on this node are terminating")
    ]


def test_a_turn_without_news_decides_nothing_anew(bench: Bench) -> None:
    """With ten thousand addresses it would take longer than all the rest of the turn."""
    tell(bench, services(HERE))
    bench.step(after_s=5)
    announcer, grouping = bench.agent.announcer, bench.agent.serving.grouping
    current, told = announcer.current, announcer.networks
    bench.step(after_s=1)
    assert announcer.current is current
    assert announcer.networks is told
    assert bench.agent.serving.grouping is grouping
    # Links that were read again are compared once, however many there are.
    bench.kernel.links = Links.of(bench.kernel.links.all)
    bench.step(after_s=60)
    assert announcer.current is current
    assert any(given is bench.kernel.links for given in announcer._works)


def test_never_an_unreachable_route_for_a_service(bench: Bench) -> None:
    tell(bench, services(HERE))
    tell(bench, services(Flags(0)))
    assert VIP not in bench.kernel.fib.unreachables
    assert not any("203.0.113.7" in words for words in bench.kernel.applied)


def test_never_learned_from_a_peer_announced_here_or_not(bench: Bench) -> None:
    bench.step(update("tor1", "203.0.113.7/32", "203.0.113.8/32"))
    assert bench.routes().keys() == {"203.0.113.7/32", "203.0.113.8/32"}
    tell(bench, services(Flags.READY))
    bench.step()
    assert bench.routes().keys() == {"203.0.113.8/32"}
    tell(bench, Services(is_known=True))
    bench.step()
    assert bench.routes().keys() == {"203.0.113.7/32", "203.0.113.8/32"}


def test_a_drained_node_announces_no_service(bench: Bench) -> None:
    tell(bench, services(HERE))
    bench.agent.announcer.withdrawing = True
    bench.step()
    assert networks(bench) == set()
    assert "stopping" in view.status(bench.agent, bench.now)["reasons"][0]


def test_coming_and_going_says_nothing_about_readiness(bench: Bench) -> None:
    state = bench.agent.verdict.state
    tell(bench, services(HERE))
    bench.step(after_s=100)
    assert bench.agent.verdict.state is state


def test_a_wish_that_is_gone_withdraws(bench: Bench) -> None:
    tell(bench, services(HERE))
    bench.reconfigure(CONFIG)
    bench.step()
    assert VIP not in networks(bench)
    assert service_view.services(bench.agent) == {
        "node": "node1", "wanted": False, "known": True, "remembered": [], "services": [],
        "aggregates": [], "rejected_packets": 0,
    }  # fmt: skip


def serving(
    memory: ServiceMemory | None = None, *, resumed: bool = True, has_api: bool = True
) -> Serving:
    circumstances = Circumstances(
        metrics=Metrics(learned=120, default=4_000_000), resumed=resumed, expects_pod_cidrs=has_api
    )
    return Serving(circumstances, memory or NoServiceMemory(), now=0.0)


def test_a_restart_waits_for_the_api_and_not_for_ever() -> None:
    settings = settings_of(WANTED)
    waiting = serving()
    waiting.decide(settings)
    assert waiting.announced(PATIENCE_S - 1) is None
    assert waiting.announced(PATIENCE_S) == frozenset()
    waiting.services = services(HERE)
    waiting.decide(settings)
    assert waiting.announced(0.0) == {VIP}


@pytest.mark.parametrize(
    ("config", "resumed", "has_api"),
    [
        pytest.param(WANTED, False, True, id="after a boot the API may be behind us"),
        pytest.param(WANTED, True, False, id="no API"),
        pytest.param(CONFIG, True, True, id="nothing wanted"),
        pytest.param(
            WANTED + "graceful_restart_s: 0\n", True, True, id="the ToRs keep nothing anyway"
        ),
    ],
)
def test_nothing_waits_without_a_reason(config: str, resumed: bool, has_api: bool) -> None:
    made = serving(resumed=resumed, has_api=has_api)
    made.decide(settings_of(config))
    assert made.announced(0.0) == frozenset()


def test_the_wait_is_shorter_than_the_restart_time() -> None:
    made = serving()
    made.decide(settings_of(WANTED + "graceful_restart_s: 20\n"))
    assert made.announced(9.9) is None
    assert made.announced(10.0) == frozenset()


def test_restarted_without_the_api_it_announces_what_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    settings = settings_of(WANTED)
    first = serving(ServiceFile(path))
    first.services = services(HERE)
    first.decide(settings)
    second = serving(ServiceFile(path))
    second.decide(settings)
    assert second.announced(0.0) is None
    assert second.announced(PATIENCE_S) == {VIP}
    # Nor is it learned from a peer meanwhile.
    assert second.addresses == {VIP}
    second.services = services(Flags(0))
    second.decide(settings)
    assert second.announced(PATIENCE_S) == frozenset()
    third = serving(ServiceFile(path))
    third.decide(settings)
    assert third.announced(PATIENCE_S) == frozenset()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version": 2, "settings": {}, "announced": []}', "\xff", "[" * 5000],
)
def test_a_damaged_memory_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "services.json"
    path.write_bytes(content.encode("latin-1"))
    assert ServiceFile(path).load(settings_of(WANTED).services) == Remembered()


def test_other_wishes_and_reserved_addresses_are_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "services.json"
    settings = settings_of(WANTED)
    own = Prefix.parse("10.255.1.1")
    ServiceFile(path).save(settings.services, Remembered(frozenset({VIP, own})))
    other = replace(settings.services, external=True)
    assert ServiceFile(path).load(other) == Remembered()
    made = serving(ServiceFile(path))
    made.decide(settings)
    assert made.announced(PATIENCE_S) == {VIP}


def test_a_memory_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    made = serving(ServiceFile(tmp_path / "nowhere" / "services.json"))
    made.services = services(HERE)
    made.decide(settings_of(WANTED))
    assert made.announced(0.0) == {VIP}


def test_people_see_what_is_only_remembered(bench: Bench, tmp_path: Path) -> None:
    memory = ServiceFile(tmp_path / "services.json")
    memory.save(bench.agent.settings.services, Remembered(frozenset({VIP})))
    circumstances = Circumstances(
        metrics=Metrics(learned=120, default=4_000_000), expects_pod_cidrs=True
    )
    bench.agent.serving = Serving(circumstances, memory, now=0.0)
    bench.step()
    assert VIP in networks(bench)
    shown = tables.services(service_view.services(bench.agent))
    assert shown.endswith("before the restart of the agent: 203.0.113.7/32")


def test_what_people_see(bench: Bench) -> None:
    assert "not told of its Services yet" in tables.services(service_view.services(bench.agent))
    other = replace(WEB, key=Key("shop", "other"))
    both = {WEB.key: Facts(WEB, {4: HERE}), other.key: Facts(other, {4: Flags(0)})}
    tell(bench, Services(is_known=True, found=both))
    lines = tables.services(service_view.services(bench.agent)).splitlines()
    assert lines[0].split() == ["ADDRESS", "SERVICE", "KIND", "ANNOUNCED"]
    assert len(lines) == 3
    assert "shop/web" in lines[2]
    # The address is announced for the sake of the other Service; why not for this one is said.
    assert "no ready IPv4 endpoint" in lines[1]
    assert view.status(bench.agent, bench.now)["services"] == {
        "addresses": 1, "announced": 1, "aggregates": [], "rejected_packets": 0, "repairs": 0
    }  # fmt: skip


def test_why_knows_the_service(bench: Bench) -> None:
    def verdict() -> str:
        return str(why(bench.agent, Subject.parse("203.0.113.7"), Pods({"pods": []}))["verdict"])

    tell(bench, services(HERE))
    assert "is this node's (load balancer of Service shop/web)" in verdict()
    tell(bench, services(Flags.LEAVING | Flags.LEAVING_HERE))
    assert verdict().endswith("to nobody: its last endpoints on this node are terminating")
