"""The same pod CIDR twice, in the agent's loop: what is announced, told, asked and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bgp.event import Sent
from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from router.agent import view
from router.agent.cleared_file import ClearedFile
from router.model.node import Claim, Claims
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import end_of_rib, update

OWN, NODE = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.255.1.1/32")
MINE = "10.244.1.0/24"
YOUNG, OLD = "2026-06-01T00:00:00Z", "2026-01-01T00:00:00Z"
TORS = ("tor1", "tor2")


@pytest.fixture
def memory(tmp_path: Path) -> ClearedFile:
    return ClearedFile(tmp_path / "cleared.json")


def booted(memory: ClearedFile, *heard: str, **given: Any) -> Bench:
    """Return an agent with both sessions up, whose peers have sent this and End-of-RIB."""
    bench = Bench(cluster=True, cleared=memory, **given)
    bench.establish(*TORS)
    bench.step(*(update(name, *heard) for name in TORS if heard))
    bench.step(*map(end_of_rib, TORS))
    return bench


def announced(bench: Bench) -> set[Prefix]:
    return set(bench.speaker.configured[-1].networks)


def answer(bench: Bench, mine: str, theirs: str | None) -> None:
    """Let the API answer what was asked last."""
    found = [Claim("node1", mine, (OWN,))]
    if theirs is not None:
        found.append(Claim("node9", theirs, (OWN,)))
    bench.agent.duplicates.claims = Claims(number=bench.agent.duplicates.asked, found=tuple(found))
    bench.step()


def claims(bench: Bench) -> Any:
    (shown,) = view.status(bench.agent, bench.now)["pod_cidr_claims"]
    return shown


def test_a_boot_announces_its_cidr_with_the_last_end_of_rib(memory: ClearedFile) -> None:
    bench = Bench(cluster=True, cleared=memory)
    bench.establish(*TORS)
    bench.step(end_of_rib("tor1"))
    assert announced(bench) == {NODE}, "node addresses do not wait"
    assert claims(bench)["state"] == "held"
    assert bench.published[-1].ready, "pods need not wait for peers"
    assert not bench.agent.verdict.is_ready
    bench.step(end_of_rib("tor2"))
    assert announced(bench) == {OWN, NODE}
    assert bench.agent.duplicates.asked == 0
    assert memory.load() == {OWN}


def test_without_a_session_of_its_family_a_cidr_waits_and_is_no_matter(
    memory: ClearedFile,
) -> None:
    """A ToR of IPv4 only: the IPv6 CIDR is nobody's business, and the node is ready."""
    config = CONFIG.replace(f"[{MINE}]", f"[{MINE}, 'fd00:244:1::/64']")
    config = config.replace("[10.244.0.0/16]", "[10.244.0.0/16, 'fd00:244::/32']")
    bench = Bench(cluster=True, cleared=memory, config=config)
    bench.step()
    assert bench.agent.verdict.reason.value == "PodrouteTooFewSessions", (
        "the cause, not what follows"
    )
    bench.establish(*TORS)
    bench.step(*map(end_of_rib, TORS))
    networks = bench.speaker.configured[-1].networks
    assert set(networks) == {OWN, NODE}
    for name in TORS:
        sent = Sent(peer=PeerId(name), announced=networks)
        bench.step(sent, Sent(peer=PeerId(name), end_of_rib=4), after_s=10)
    assert bench.agent.verdict.is_ready
    assert bench.published[-1].ready
    shown = view.status(bench.agent, bench.now)
    assert shown["reasons"] == []
    assert [each["state"] for each in shown["pod_cidr_claims"]] == ["clear", "held"]
    assert shown["pod_cidr_claims"][1]["text"] == "no session carries IPv6"


def test_the_younger_stays_silent_says_why_and_takes_no_pods(memory: ClearedFile) -> None:
    bench = booted(memory, MINE)
    assert bench.agent.duplicates.asked == 1
    answer(bench, YOUNG, OLD)
    bench.step(update("tor2", "10.244.7.0/24"), after_s=5)
    assert all(OWN not in config.networks for config in bench.speaker.configured)
    assert bench.agent.duplicates.asked == 1, "one list"
    shown = claims(bench)
    assert (shown["state"], shown["other_node"], shown["may_be_announced"]) == (
        "yielded",
        "node9",
        False,
    )
    assert {each["origin_asn"] for each in shown["heard"]} == {65202}
    reasons = view.status(bench.agent, bench.now)["reasons"]
    assert any(r.startswith(f"{MINE} is not announced: Node node9 has it, too") for r in reasons)
    assert not bench.published[-1].ready
    assert OWN in bench.kernel.fib.unreachables
    (news,) = bench.agent.duplicates.take_news()
    assert news.phase.value == "yielded"
    assert bench.agent.duplicates.take_news() == ()


def test_it_announces_again_when_the_other_has_it_no_longer(memory: ClearedFile) -> None:
    bench = booted(memory, MINE)
    answer(bench, YOUNG, OLD)
    bench.step(*(update(name, withdrawn=(MINE,)) for name in TORS), after_s=5)
    assert announced(bench) == {NODE}
    answer(bench, YOUNG, None)
    assert announced(bench) == {OWN, NODE}
    assert claims(bench)["state"] == "clear"


def test_another_cidr_is_announced_at_once(memory: ClearedFile) -> None:
    bench = booted(memory, MINE)
    answer(bench, YOUNG, OLD)
    bench.reconfigure(CONFIG.replace(MINE, "10.244.5.0/24"))
    bench.step()
    bench.step()
    assert announced(bench) == {Prefix.parse("10.244.5.0/24"), NODE}
    assert bench.published[-1].ready


def test_the_older_goes_on_as_if_nothing_was(memory: ClearedFile) -> None:
    bench = booted(memory)
    networks = bench.speaker.configured[-1].networks
    for name in TORS:
        bench.step(
            Sent(peer=PeerId(name), announced=networks), Sent(peer=PeerId(name), end_of_rib=4)
        )
    bench.step(*(update(name, MINE) for name in TORS), after_s=5)
    answer(bench, OLD, YOUNG)
    assert claims(bench)["state"] == "kept"
    halves = {Prefix.parse("10.244.1.0/25"), Prefix.parse("10.244.1.128/25")}
    assert announced(bench) == {OWN, NODE} | halves, "heard whatever path the ToRs prefer"
    assert any("node9" in r for r in view.status(bench.agent, bench.now)["reasons"])
    bench.step(*(update(name, withdrawn=(MINE,)) for name in TORS), after_s=5)
    assert claims(bench)["state"] == "clear"
    assert announced(bench) == {OWN, NODE}
    assert all(OWN in config.networks for config in bench.speaker.configured[1:])
    assert bench.agent.verdict.is_ready


def test_the_younger_hears_the_halves_of_the_elder(memory: ClearedFile) -> None:
    bench = booted(memory)
    bench.step(*(update(name, "10.244.1.0/25", "10.244.1.128/25") for name in TORS), after_s=5)
    answer(bench, YOUNG, OLD)
    assert announced(bench) == {NODE}


def test_a_more_specific_inside_is_heard_too(memory: ClearedFile) -> None:
    bench = booted(memory)
    bench.step(update("tor1", "10.244.1.128/25"), after_s=5)
    assert bench.agent.duplicates.asked == 1
    answer(bench, OLD, None)
    assert claims(bench)["state"] == "unclaimed"
    assert OWN in announced(bench)


def test_an_aggregate_of_a_router_asks_nobody(memory: ClearedFile) -> None:
    bench = booted(memory, "10.244.0.0/16")
    assert bench.agent.duplicates.asked == 0
    assert OWN in announced(bench)


def test_a_restarted_agent_announces_at_once_what_it_had_and_nothing_else(
    memory: ClearedFile,
) -> None:
    booted(memory)
    again = Bench(cluster=True, cleared=memory, resumed=True)
    again.establish(*TORS)
    assert announced(again) == {OWN, NODE}, "before any End-of-RIB: ToRs keep it as stale"
    again.step(*(update(name, MINE) for name in TORS), after_s=5)
    answer(again, YOUNG, OLD)
    assert announced(again) == {NODE}
    assert memory.load() == frozenset()
    third = Bench(cluster=True, cleared=memory, resumed=True)
    third.establish(*TORS)
    assert announced(third) == {NODE}


@pytest.mark.parametrize("heard", [(), (MINE,)], ids=["held", "yielded"])
def test_an_agent_that_never_announced_is_not_trusted_by_its_successor(
    memory: ClearedFile, heard: tuple[str, ...]
) -> None:
    bench = Bench(cluster=True, cleared=memory)
    bench.establish(*TORS)
    if heard:
        bench.step(*(update(name, *heard) for name in TORS), *map(end_of_rib, TORS))
        answer(bench, YOUNG, OLD)
    again = Bench(cluster=True, cleared=memory, resumed=True)
    again.establish(*TORS)
    assert announced(again) == {NODE}


def test_a_cidr_that_was_gone_is_new(memory: ClearedFile) -> None:
    bench = booted(memory)
    bench.reconfigure(CONFIG.replace(f"pod_cidrs: [{MINE}]\n", ""))
    bench.step()
    assert memory.load() == frozenset()
    bench.step(*(update(name, MINE) for name in TORS))
    bench.reconfigure(CONFIG)
    bench.step()
    assert announced(bench) == {NODE}
    answer(bench, YOUNG, OLD)
    assert claims(bench)["state"] == "yielded"


def test_the_first_agent_of_this_release_trusts_the_one_before(memory: ClearedFile) -> None:
    bench = Bench(cluster=True, cleared=memory, resumed=True)
    bench.establish(*TORS)
    assert announced(bench) == {OWN, NODE}


def test_a_node_without_an_api_waits_for_nobody() -> None:
    bench = Bench()
    bench.establish(*TORS)
    assert announced(bench) == {OWN, NODE}
    bench.step(update("tor1", MINE), after_s=5)
    assert claims(bench)["state"] == "unclaimed"
    assert announced(bench) == {OWN, NODE}


def test_without_an_api_no_news_pile_up() -> None:
    """Nobody takes them there."""
    bench = Bench()
    bench.establish(*TORS)
    bench.step(update("tor1", MINE), after_s=5)
    assert claims(bench)["state"] == "unclaimed"
    assert bench.agent.duplicates.take_news() == ()


def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path) -> None:
    for text in ("", "[]", '{"version": 2}', '{"version": 1, "cidrs": ["x"]}'):
        (tmp_path / "cleared.json").write_text(text)
        assert ClearedFile(tmp_path / "cleared.json").load() is None
