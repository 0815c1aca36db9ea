"""Calls are counted by what they were and how they ended; series are bounded."""

from __future__ import annotations

import pytest

from cni.histogram import Histogram
from cni.server.meter import Meter
from cni.wire import Door


class Shim:
    sandbox = 5

    def __init__(self, stays: bool = True) -> None:
        self.stays = stays
        self.answers: list[tuple[int, bytes]] = []

    def gone(self) -> bool:
        return not self.stays

    def answer(self, exit_code: int, stdout: bytes) -> bool:
        self.answers.append((exit_code, stdout))
        return self.stays


def test_an_answer_is_handed_on_and_counted() -> None:
    now = [10.0]
    meter, shim = Meter(lambda: now[0]), Shim(stays=False)
    watched = meter.watch(shim, Door.PLUGIN, "ADD")
    now[0] += 0.02
    assert (watched.sandbox, watched.gone()) == (5, True)
    assert watched.answer(1, b"x") is False
    assert shim.answers == [(1, b"x")]
    (call,) = meter.as_json()
    assert (call["plugin"], call["verb"], call["result"]) == ("podroute", "ADD", "error")
    assert (call["count"], call["sum_s"]) == (1, 0.02)
    assert [0.01, 0] in call["buckets"]
    assert [0.025, 1] in call["buckets"]


def test_made_up_verbs_are_one() -> None:
    meter = Meter(lambda: 0.0)
    for number in range(50):
        meter.watch(Shim(), Door.IPAM, f"verb{number}").answer(0, b"")
    (call,) = meter.as_json()
    assert (call["plugin"], call["verb"], call["count"]) == ("podroute-ipam", "other", 50)


@pytest.mark.parametrize(
    ("took_s", "counts"),
    [(0.0, [1, 1]), (1.0, [1, 1]), (1.5, [0, 1]), (2.0, [0, 1]), (2.1, [0, 0])],
)
def test_buckets_are_cumulative_and_hold_their_bound(took_s: float, counts: list[int]) -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.observe(took_s)
    made = histogram.as_json()
    assert [count for _, count in made["buckets"]] == counts
    assert made["count"] == 1
