"""What became of the sessions: every turn once, the same failure counted, nothing unbounded."""

from __future__ import annotations

import pytest

from bgp.event import Connected, Direction, Notified, SessionDown, SpeakerExited
from bgp.peer_id import PeerId
from router.agent.history import KEPT_PER_PEER, Turn
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, establishing, update

TOR1 = PeerId("tor1")
REFUSED = SessionDown(peer=TOR1, reason="closing connection")


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.establish("tor1")
    return made


def told(bench: Bench, peer: str | None = "tor1") -> list[tuple[Turn, str, int]]:
    found = bench.agent.sessions.history.latest(100, peer)
    return [(change.turn, change.text, change.times) for change in found]


def test_the_newest_is_first_and_says_why(bench: Bench) -> None:
    bench.step(down("tor1"), after_s=5)
    assert told(bench) == [
        (Turn.LOST, "peer closed the connection", 1),
        (Turn.ESTABLISHED, "", 1),
    ]
    lost = bench.agent.sessions.history.latest(1)[0]
    assert (lost.at, lost.last_at) == (1005, 1005)


def test_a_flap_within_one_round_is_not_missed(bench: Bench) -> None:
    bench.step(down("tor1"), *establishing("tor1"), down("tor1"))
    turns = [turn for turn, _, _ in told(bench)]
    assert turns == [Turn.LOST, Turn.ESTABLISHED, Turn.LOST, Turn.ESTABLISHED]


def test_the_same_failure_again_and_again_is_one_entry(bench: Bench) -> None:
    bench.step(down("tor1"))
    for _ in range(100):
        bench.step(REFUSED, after_s=10)
    (turn, text, times), *before = told(bench)
    assert (turn, times, len(before)) == (Turn.FAILED, 100, 2)
    assert text == "peer closed the connection"
    newest = bench.agent.sessions.history.latest(1)[0]
    assert newest.last_at - newest.at == 990


def test_a_refusal_is_told_in_the_peers_words(bench: Bench) -> None:
    notified = Notified(
        peer=TOR1, direction=Direction.RECEIVED, code=2, subcode=2, text="who are you"
    )
    bench.step(down("tor1"), Connected(peer=TOR1), notified, down("tor1"))
    assert told(bench)[0][:2] == (Turn.FAILED, 'bad peer AS (2/2), received: "who are you"')


def test_the_end_of_the_speaker_ends_every_session(bench: Bench) -> None:
    bench.step(*establishing("tor2"))
    bench.step(SpeakerExited(reason="signal 9", status=-9))
    ends = [(turn, text) for turn, text, _ in told(bench, None)][:2]
    assert ends == [(Turn.LOST, "the speaker ended: signal 9")] * 2


def test_one_peer_cannot_fill_the_memory_or_push_others_out(bench: Bench) -> None:
    bench.step(*establishing("tor2"))
    for _ in range(200):
        bench.step(down("tor1"), *establishing("tor1"))
    assert len(told(bench)) == KEPT_PER_PEER
    assert told(bench, "tor2") == [(Turn.ESTABLISHED, "", 1)]


def test_updates_are_no_change(bench: Bench) -> None:
    before = told(bench)
    bench.step(update("tor1", "10.244.2.0/24"))
    assert told(bench) == before


def test_who_is_no_peer_any_more_is_forgotten(bench: Bench) -> None:
    bench.reconfigure(
        CONFIG.replace("  - {name: tor1, address: 10.0.1.2, remote_asn: 65101}\n", "")
    )
    assert told(bench, None) == []
