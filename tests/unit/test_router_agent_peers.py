"""Peers that change their address, and next hops that two peers give."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgp.peer_id import PeerId
from tests.support.agent import CONFIG, Bench
from tests.support.bgp_events import down, update

POD = "10.244.2.0/24"


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.establish("tor1", "tor2")
    made.step(update("tor1", POD), update("tor2", POD))
    return made


def test_another_address_under_an_old_name_is_another_peer(bench: Bench) -> None:
    bench.reconfigure(CONFIG.replace("10.0.2.2", "10.0.2.77"))
    bench.step()
    names = [(settings.name, session.state) for settings, session in bench.agent.sessions.all]
    assert names == [("tor1", "established"), ("tor2", "connect")]
    assert bench.routes() == {POD: {"10.0.1.2"}}


def test_a_next_hop_that_another_peer_gives_too_comes_back_at_once(bench: Bench) -> None:
    third_party = update("tor1", POD)
    bench.step(replace(third_party, peer=PeerId("tor2")))
    assert bench.routes() == {POD: {"10.0.1.2"}}
    bench.step(update("tor1", "10.244.9.0/24"), update("tor2", "10.244.9.0/24"))
    bench.step(down("tor1"))
    assert bench.routes()[POD] == {"10.0.1.2"}
