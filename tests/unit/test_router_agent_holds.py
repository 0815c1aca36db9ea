"""Peers that are kept down: by the operator, by a missing password, by what they did."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgp.ending import Ending
from bgp.event import Direction, Notified, Opened, SessionDown, SpeakerStarted
from bgp.peer_id import PeerId
from router.agent import view
from router.agent.holds import Holds
from tests.support.agent import CONFIG, Bench, settings_of
from tests.support.bgp_events import down, end_of_rib, establishing, update

POD = "10.244.2.0/24"
MANY = [f"10.244.{i}.0/24" for i in range(2, 9)]
TOR1 = "{name: tor1, address: 10.0.1.2, remote_asn: 65101}"
BOTH = {"10.0.1.2", "10.0.2.2"}


def with_tor1(*fields: str, base: str = CONFIG) -> str:
    assert TOR1 in base
    return base.replace(TOR1, TOR1.removesuffix("}") + "".join(f", {f}" for f in fields) + "}")


LIMITED = with_tor1("max_prefixes: {ipv4: 5, retry_after_s: 30}")


def kept_down(bench: Bench) -> dict[str, Ending]:
    return dict(bench.speaker.configured[-1].kept_down)


def shown(bench: Bench, name: str = "tor1") -> tuple[str, str | None]:
    peers = view.peers(bench.agent, bench.now)["peers"]
    peer = next(p for p in peers if p["name"] == name)
    return peer["state"], peer["reason"]


def reasons(bench: Bench) -> str:
    return "\n".join(view.status(bench.agent, bench.now)["reasons"])


@pytest.fixture
def bench() -> Bench:
    made = Bench(config=LIMITED)
    made.establish("tor1", "tor2")
    made.step(update("tor1", POD), update("tor2", POD))
    assert made.routes() == {POD: BOTH}
    return made


def test_too_many_prefixes_take_the_peer_out_at_once(bench: Bench) -> None:
    bench.step(update("tor1", *MANY), update("tor1", "10.244.99.0/24"))
    assert bench.routes() == {POD: {"10.0.2.2"}}
    assert kept_down(bench) == {"tor1": Ending.max_prefixes(4, 5)}
    what = "7 ipv4 prefixes received, the limit is 5; tried again in 30 s"
    assert shown(bench) == ("held", what)
    assert f"tor1 is held: {what}" in reasons(bench)
    # What comes before the session has ended counts no more.
    bench.step(update("tor1", POD))
    bench.step(down("tor1"), after_s=1)
    assert bench.routes() == {POD: {"10.0.2.2"}}


def test_as_many_as_allowed_are_fine(bench: Bench) -> None:
    bench.step(update("tor1", *MANY[:5]))
    assert kept_down(bench) == {}
    assert len(bench.routes()) == 5


def test_refused_prefixes_count_too(bench: Bench) -> None:
    bench.step(update("tor1", *(f"192.0.2.{i}/32" for i in range(6))))
    assert kept_down(bench).keys() == {"tor1"}


def test_a_held_peer_is_tried_again(bench: Bench) -> None:
    bench.step(update("tor1", *MANY))
    bench.step(down("tor1"))
    bench.step(after_s=29)
    assert kept_down(bench).keys() == {"tor1"}
    bench.step(after_s=2)
    assert kept_down(bench) == {}
    bench.step(*establishing("tor1"))
    bench.step(update("tor1", POD))
    assert bench.routes() == {POD: BOTH}


def test_a_changed_limit_ends_the_hold_and_another_change_does_not(bench: Bench) -> None:
    bench.step(update("tor1", *MANY))
    bench.reconfigure(LIMITED.replace("65102", "65109"))
    bench.step()
    assert kept_down(bench).keys() == {"tor1"}
    bench.reconfigure(LIMITED.replace("ipv4: 5", "ipv4: 50"))
    bench.step()
    assert kept_down(bench) == {}


def test_a_warning_takes_nothing() -> None:
    bench = Bench(config=with_tor1("max_prefixes: {ipv4: 5, action: warn}"))
    bench.establish("tor1", "tor2")
    bench.step(update("tor1", *MANY))
    assert len(bench.routes()) == 7
    assert kept_down(bench) == {}
    assert "tor1: 7 ipv4 prefixes received, the limit is 5" in reasons(bench)


def test_a_shutdown_takes_the_paths_and_is_no_fault(bench: Bench) -> None:
    bench.reconfigure(with_tor1("shutdown: true", "shutdown_text: cables"))
    bench.step()
    assert bench.routes() == {POD: {"10.0.2.2"}}
    assert kept_down(bench) == {"tor1": Ending.shutdown("cables")}
    bench.step(down("tor1"))
    assert shown(bench) == ("shutdown", "shut down in the configuration: cables")
    status = view.status(bench.agent, bench.now)
    assert status["ok"], status["reasons"]
    assert status["peers"] == {"configured": 1, "established": 1}
    bench.reconfigure(CONFIG)
    bench.step()
    assert kept_down(bench) == {}
    bench.step(*establishing("tor1"))
    assert shown(bench) == ("established", None)


def test_nobody_waits_for_a_peer_that_is_shut_down(bench: Bench) -> None:
    after = Bench(bench.kernel, config=with_tor1("shutdown: true"))
    after.establish("tor2")
    after.step(end_of_rib("tor2"))
    assert after.routes() == {}


def test_nobody_waits_any_longer_for_a_peer_that_is_held(bench: Bench) -> None:
    after = Bench(bench.kernel, config=LIMITED)
    after.establish("tor1", "tor2")
    after.step(update("tor1", *MANY), end_of_rib("tor2"))
    assert after.routes() == {}


def test_a_peer_without_its_password_is_disabled() -> None:
    bench = Bench(config=with_tor1("password_secret: {name: bgp, key: tor}"))
    bench.establish("tor2")
    state, reason = shown(bench)
    assert state == "disabled"
    assert reason is not None
    assert reason.startswith("its password is not there: bgp/tor: there is no API server")
    assert f"tor1 is disabled: {reason}" in reasons(bench)
    assert kept_down(bench) == {"tor1": Ending.removed()}


def opened(name: str, asn: int) -> Opened:
    events = [e for e in establishing(name) if isinstance(e, Opened)]
    found = next(e for e in events if e.direction is Direction.RECEIVED)
    return replace(found, asn=asn)


@pytest.mark.parametrize(("asn", "goes"), [(65201, True), (65000, False)])
def test_an_external_peer_of_our_own_as_has_to_go(asn: int, goes: bool) -> None:
    bench = Bench(config=CONFIG.replace("remote_asn: 65101", "remote_asn: external"))
    bench.step(SpeakerStarted(pid=7))
    connected, sent, _, up = establishing("tor1")
    bench.step(connected, sent, opened("tor1", asn), up)
    assert kept_down(bench) == ({PeerId("tor1"): Ending.bad_peer_as()} if goes else {})
    state, reason = shown(bench)
    assert (state == "held") is goes
    if goes:
        assert reason is not None
        assert "its AS is ours (65201), and an external one is expected" in reason


def test_the_cause_stands_in_status() -> None:
    bench = Bench()
    bench.establish("tor2")
    assert "tor1 is not established: no answer at 10.0.1.2 port 179: it does not listen" in reasons(
        bench
    )
    bench = Bench(config=CONFIG.replace("address: 10.0.1.2", "address: 192.0.2.9"))
    bench.establish("tor1", "tor2")
    assert "tor1: 192.0.2.9 is on no connected network of this node" in reasons(bench)


@pytest.mark.parametrize("fields", ["multihop_ttl: 3", "ttl_security: 2"])
def test_a_far_peer_that_may_be_far_is_no_finding(fields: str) -> None:
    config = with_tor1(fields).replace("address: 10.0.1.2", "address: 192.0.2.9")
    bench = Bench(config=config)
    bench.establish("tor1", "tor2")
    assert reasons(bench) == ""


PASSIVE = with_tor1("passive: true", "local_address: 10.0.1.3")


def test_a_passive_peer_waits() -> None:
    bench = Bench(config=PASSIVE)
    bench.establish("tor2")
    assert shown(bench) == ("active", None)
    what = "tor1 is not established: it has not connected, and we only listen, at 10.0.1.3 port 179"
    assert what in reasons(bench)
    away = Bench(config=PASSIVE.replace("10.0.1.3", "10.0.1.9"))
    away.establish("tor2")
    assert "at 10.0.1.9 port 179, which no link of this node has" in reasons(away)


@pytest.mark.parametrize(("port", "state"), [(179, "disabled"), (1790, "active")])
def test_a_speaker_without_the_right_to_listen(port: int, state: str) -> None:
    peers = settings_of(
        with_tor1("passive: true", "local_address: 10.0.1.3", f"port: {port}")
    ).peers
    hold = Holds(peers, low_ports=False).of(PeerId("tor1"))
    assert (hold is not None) is (state == "disabled")
    assert Holds(peers, low_ports=True).of(PeerId("tor1")) is None


def test_the_reason_of_other_settings_is_none_any_more() -> None:
    bench = Bench()
    bench.establish("tor1", "tor2")
    bench.step(
        Notified(peer=PeerId("tor1"), direction=Direction.SENT, code=2, subcode=2),
        SessionDown(peer=PeerId("tor1"), reason="notification sent (2,2)"),
    )
    connected, *_ = establishing("tor1")
    refused = SessionDown(peer=PeerId("tor1"), reason="notification sent (2,2)")
    bench.step(connected, refused)
    assert "tor1 is not established: bad peer AS (2/2), sent" in reasons(bench)
    bench.reconfigure(with_tor1("hold_time_s: 30"))
    bench.step()
    assert "bad peer AS (2/2), sent; since then no answer at 10.0.1.2 port 179" in reasons(bench)
