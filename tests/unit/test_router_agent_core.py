"""The agent's loop against models: what it keeps, repairs, announces and tells."""

from __future__ import annotations

import pytest

from bgp.event import Sent, SpeakerExited, SpeakerStarted
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent import view
from router.agent.why import Pods, Subject, why
from router.cli import tables
from tests.support.agent import CONFIG, Bench, ModelKernel
from tests.support.bgp_events import down, end_of_rib, establishing, update

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


def test_unreachable_first_then_the_announcement() -> None:
    bench = Bench()
    bench.step()
    (config,) = bench.speaker.configured
    assert [str(network) for network in config.networks] == ["10.244.1.0/24", "10.255.1.1/32"]
    assert bench.speaker.unreachables_then == [{OWN}]


def test_no_announcement_while_the_kernel_refuses_the_unreachable_route() -> None:
    kernel = ModelKernel()
    kernel.broken = True
    bench = Bench(kernel)
    bench.step()
    assert not any(OWN in config.networks for config in bench.speaker.configured)
    assert not bench.published[-1].ready
    assert "ENOBUFS" in bench.published[-1].reason
    kernel.broken = False
    bench.step(after_s=1)
    assert OWN in bench.speaker.configured[-1].networks
    assert bench.published[-1].ready


def test_a_step_without_news_changes_nothing(bench: Bench) -> None:
    before = len(bench.kernel.applied)
    bench.step()
    bench.step(after_s=60)
    assert len(bench.kernel.applied) == before
    assert len(bench.speaker.configured) == 1


def test_a_session_that_ends_takes_its_next_hop_only(bench: Bench) -> None:
    bench.step(down("tor1"))
    assert bench.routes() == {POD: {"10.0.2.2"}}
    assert not any(line.startswith("install") for line in bench.kernel.applied[-1:])
    bench.step(down("tor2"))
    assert bench.routes() == {}


def test_the_speakers_death_takes_nothing(bench: Bench) -> None:
    bench.step(SpeakerExited(status=-9, reason="killed"))
    bench.step(after_s=5)
    assert bench.routes() == {POD: BOTH}
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", POD), end_of_rib("tor1"), end_of_rib("tor2"))
    assert bench.routes() == {POD: {"10.0.1.2"}}


def test_stale_paths_go_after_the_bound(bench: Bench) -> None:
    bench.step(SpeakerExited(status=-9, reason="killed"))
    bench.step(after_s=119)
    assert bench.routes() == {POD: BOTH}
    bench.step(after_s=2)
    assert bench.routes() == {}


def test_routes_found_at_start_stay_until_every_peer_has_told_all(bench: Bench) -> None:
    after = Bench(bench.kernel)
    after.establish("tor1", "tor2")
    after.step(end_of_rib("tor1"))
    assert after.routes() == {POD: BOTH}
    after.step(update("tor2", "10.244.3.0/24"))
    assert after.routes().keys() == {POD, "10.244.3.0/24"}
    after.step(end_of_rib("tor2"))
    assert after.routes() == {"10.244.3.0/24": {"10.0.2.2"}}


def test_routes_found_at_start_go_after_the_bound(bench: Bench) -> None:
    after = Bench(bench.kernel)
    after.establish("tor1")
    after.step(update("tor1", "10.244.3.0/24"), end_of_rib("tor1"), after_s=100)
    assert after.routes().keys() == {POD, "10.244.3.0/24"}
    after.step(after_s=21)
    assert after.routes().keys() == {"10.244.3.0/24"}


def test_a_withdrawal_during_the_wait_after_a_start_counts_at_once(bench: Bench) -> None:
    after = Bench(bench.kernel)
    after.establish("tor1", "tor2")
    after.step(update("tor1", POD))
    after.step(update("tor1", withdrawn=[POD]))
    assert after.routes() == {}


def test_a_link_without_carrier_and_back(bench: Bench) -> None:
    pulled = "link eth1 has no carrier: nothing is sent by it"
    bench.kernel.set_carrier("eth1", False)
    bench.step()
    assert bench.routes() == {POD: {"10.0.2.2"}}
    assert pulled in view.status(bench.agent, bench.now)["reasons"]  # BGP still has its hold time
    bench.kernel.set_carrier("eth2", False)
    bench.step()
    assert bench.routes() == {}
    route = view.routes(bench.agent)["routes"][0]
    assert "link eth2 toward next hop 10.0.2.2 has no carrier" in route["why_not"]
    bench.kernel.set_carrier("eth1", True)
    bench.step()
    bench.kernel.set_carrier("eth2", True)
    bench.step()
    assert bench.routes() == {POD: BOTH}
    assert pulled not in view.status(bench.agent, bench.now)["reasons"]


def test_a_foreign_route_is_left_alone_and_told() -> None:
    bench = Bench()
    bench.kernel.foreign.add(Prefix.parse(POD))
    bench.establish("tor1")
    bench.step(update("tor1", POD, "10.244.3.0/24"))
    assert bench.routes().keys() == {"10.244.3.0/24"}
    assert "not ours" in " ".join(view.status(bench.agent, bench.now)["reasons"])
    bench.kernel.foreign.clear()
    bench.step(after_s=31)
    assert bench.routes().keys() == {POD, "10.244.3.0/24"}
    assert "not ours" not in " ".join(view.status(bench.agent, bench.now)["reasons"])


def test_the_import_guard_keeps_our_own_and_foreign_space_out() -> None:
    bench = Bench()
    bench.establish("tor1")
    bench.step(
        update("tor1", "10.244.1.0/24", "10.244.1.128/25", "10.244.0.0/16", "10.255.1.1/32"),
        update("tor1", "0.0.0.0/0", "192.0.2.0/24", "10.255.2.0/24", "10.244.2.0/29"),
    )
    assert bench.routes() == {}
    rejected = {
        route["prefix"]: route["rejected"][0]["reason"]
        for route in view.routes(bench.agent)["routes"]
    }
    assert len(rejected) == 8
    assert rejected["0.0.0.0/0"] == "a default route, and none is asked for"
    assert rejected["192.0.2.0/24"] == "outside the cluster prefixes"


def test_withdrawing_waits_until_the_speaker_has_settled(bench: Bench) -> None:
    assert not bench.agent.is_withdrawn()
    bench.agent.announcer.withdrawing = True
    bench.step()
    assert bench.speaker.configured[-1].networks == ()
    bench.speaker.settled = False
    assert not bench.agent.is_withdrawn()
    bench.speaker.settled = True
    assert bench.agent.is_withdrawn()


def test_a_changed_configuration_leaves_other_sessions_alone(bench: Bench) -> None:
    before = bench.agent.sessions.all[0][1]
    bench.reconfigure(
        CONFIG.replace("{name: tor2, address: 10.0.2.2", "{name: x, address: 10.0.2.2")
    )
    bench.step()
    names = [(settings.name, session.state) for settings, session in bench.agent.sessions.all]
    assert names == [("tor1", "established"), ("x", "connect")]
    assert bench.agent.sessions.all[0][1] == before
    assert bench.routes() == {POD: {"10.0.1.2"}}
    bench.step(*establishing("x"))
    assert len(bench.agent.sessions.established) == 2


def test_a_new_pod_cidr_is_announced_after_its_unreachable_route(bench: Bench) -> None:
    more = CONFIG.replace("[10.244.1.0/24]", "[10.244.1.0/24, 10.244.9.0/24]")
    bench.reconfigure(more)
    bench.step()
    assert Prefix.parse("10.244.9.0/24") in bench.speaker.configured[-1].networks
    assert Prefix.parse("10.244.9.0/24") in bench.speaker.unreachables_then[-1]
    assert len(bench.published[-1].pod_cidrs) == 2
    bench.reconfigure(CONFIG)
    bench.speaker.settled = False
    bench.step()
    bench.step()
    assert len(bench.kernel.fib.unreachables) == 2, "the withdrawal is not acknowledged yet"
    bench.speaker.settled = True
    bench.step()
    assert bench.kernel.fib.unreachables == {OWN}


def test_a_narrower_policy_takes_routes_out_and_back(bench: Bench) -> None:
    bench.reconfigure(CONFIG.replace("10.244.0.0/16", "10.244.1.0/24"))
    bench.step()
    assert bench.routes() == {}
    bench.reconfigure(CONFIG)
    bench.step()
    assert bench.routes() == {POD: BOTH}


def test_a_new_node_name_needs_a_restart(bench: Bench) -> None:
    bench.reconfigure(CONFIG.replace("node: node1", "node: node9"))
    bench.step()
    assert "needs a restart" in " ".join(view.status(bench.agent, bench.now)["reasons"])


def test_sysctls_are_set_once(bench: Bench) -> None:
    assert set(bench.kernel.sysctls.values()) == {"1"}


def test_facts_for_the_cni_server(bench: Bench) -> None:
    facts = bench.published[-1]
    assert facts.ready
    assert facts.mtu == 1500  # the smaller of both uplinks
    assert [str(cidr) for cidr in facts.pod_cidrs] == ["10.244.1.0/24"]


def test_peers_as_told_to_operators(bench: Bench) -> None:
    bench.step(down("tor2"), after_s=60)
    bench.step(after_s=5)
    tor1, tor2 = view.peers(bench.agent, bench.now)["peers"]
    assert (tor1["state"], tor1["for_s"]) == ("established", 65.0)
    assert tor1["families"]["ipv4 unicast"]["accepted"] == 1
    assert (tor2["state"], tor2["last_down"], tor2["times_down"]) == (
        "connect",
        "peer closed the connection",
        1,
    )


def test_an_impossible_event_is_logged_and_its_routes_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.step(SpeakerStarted(pid=7), update("tor1", POD))
    assert "impossible session event" in caplog.text
    assert bench.routes() == {POD: {"10.0.1.2"}}


def test_a_node_that_only_learns() -> None:
    bench = Bench(config=CONFIG.replace("announce: {", "announce: {pod_cidrs: false, "))
    bench.step(*[SpeakerStarted(pid=7), *establishing("tor1"), update("tor1", POD)])
    assert bench.kernel.fib.unreachables == set()
    assert [str(n) for n in bench.speaker.configured[-1].networks] == ["10.255.1.1/32"]
    assert bench.routes() == {POD: {"10.0.1.2"}}


def test_ready_when_sessions_announcement_and_forwarding_are() -> None:
    bench = Bench()
    bench.step()
    assert not bench.agent.verdict.is_ready
    bench.establish("tor1")
    assert not bench.agent.verdict.is_ready
    networks = bench.speaker.configured[-1].networks
    tor1 = PeerId("tor1")
    bench.step(Sent(peer=tor1, announced=networks), Sent(peer=tor1, end_of_rib=4))
    assert bench.agent.verdict.is_ready, bench.agent.verdict
    bench.step(down("tor1"), after_s=1)
    assert bench.agent.verdict.is_ready, "not at once"
    shown = tables.status(view.status(bench.agent, bench.now) | {"drain": {"phase": "none"}})
    assert "readiness   ready for now: no session is established with any of 2 peers" in shown
    nobody = why(bench.agent, Subject.parse("10.244.9.1"), Pods({"pods": []}))
    assert nobody["verdict"].endswith("; no session is established now")
    bench.step(after_s=31)
    assert not bench.agent.verdict.is_ready
    assert "session" in bench.agent.verdict.text


def test_a_limit_on_multipath_reaches_the_kernel_and_can_be_lifted() -> None:
    bench = Bench(config=CONFIG + "import: {multipath: 1}\n")
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", POD), update("tor2", POD))
    assert bench.routes() == {POD: {"10.0.1.2"}}
    bench.reconfigure(CONFIG)
    bench.step()
    assert bench.routes() == {POD: BOTH}
