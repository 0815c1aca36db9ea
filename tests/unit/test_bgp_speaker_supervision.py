"""When to restart, to reload and to lose patience."""

from __future__ import annotations

from ipaddress import ip_address

from bgp.nlri import Prefix
from bgp.peer_id import PeerId
from bgp.speaker.supervision import Backoff, Heartbeat, Reload

PEER = PeerId("tor1")
TOR, NODE = ip_address("10.0.1.2"), ip_address("10.0.1.3")
ONE, TWO = Prefix.parse("10.244.1.0/24"), Prefix.parse("10.244.9.0/24")


class TestBackoff:
    def test_grows_and_is_forgiven(self) -> None:
        backoff = Backoff()
        delays = []
        for now in range(0, 70, 10):
            backoff.started(now)
            delays.append(backoff.ended(now + 1) - now - 1)
        assert delays == [0, 1, 2, 4, 8, 10, 10]
        backoff.started(100)
        assert backoff.ended(160) == 160


class TestHeartbeat:
    def test_asks_and_loses_patience_within_half_the_hold_time(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        asked_at = lost_at = None
        for tick in range(100):
            now = tick / 10
            if beat.silence_s(now) is not None:
                lost_at = now
                break
            if beat.is_due(now):
                asked_at = now
        assert asked_at == 1.0
        assert lost_at is not None
        assert lost_at <= 4.6

    def test_any_line_is_a_sign_of_life(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        for tick in range(1, 200):
            now = tick / 10
            beat.is_due(now)
            if tick % 30 == 0:
                beat.heard(now)
            assert beat.silence_s(now) is None

    def test_own_absence_is_forgiven_once(self) -> None:
        beat = Heartbeat(1.0)
        beat.began(0.0)
        assert beat.is_due(1.0)
        assert beat.silence_s(1.0) is None
        assert beat.silence_s(60.0) is None
        assert beat.silence_s(62.0) is None
        assert beat.silence_s(63.0) is None
        assert beat.silence_s(64.0) == 64.0

    def test_hold_times(self) -> None:
        beat = Heartbeat(1.0)
        beat.expect_within(3)
        assert beat.patience_s == 0.75
        beat.expect_within(90)
        assert beat.patience_s == 44.0
        beat.expect_within(0)
        assert beat.patience_s == float("inf")


class TestReload:
    def test_nothing_to_do_before_a_start_and_without_a_change(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        assert not reload.is_due(0, may_start=True)
        reload.started("a")
        assert not reload.is_due(1, may_start=True)
        assert not reload.confirmed()

    def test_change_during_the_start(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.want("b", 0.1)
        reload.started("a")
        assert reload.is_due(0.2, may_start=True)
        assert reload.confirmed()
        assert not reload.is_pending

    def test_is_repeated_until_confirmed(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        assert not reload.is_due(1.2, may_start=True)
        assert reload.is_due(1.3, may_start=True)
        assert reload.confirmed()

    def test_late_confirmation_of_a_repeated_signal_is_not_believed(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        assert reload.is_due(1.3, may_start=True)
        assert reload.confirmed()
        reload.want("c", 1.4)
        assert reload.is_due(1.4, may_start=True)
        assert not reload.confirmed()
        assert reload.is_due(1.5, may_start=True)
        assert reload.confirmed()

    def test_waits_for_farewells_but_not_for_ever(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert not reload.is_due(1.1, may_start=False)
        assert reload.is_due(1.6, may_start=False)

    def test_refusal_waits_for_another_text(self) -> None:
        reload = Reload()
        reload.want("a", 0)
        reload.started("a")
        reload.want("b", 1)
        assert reload.is_due(1, may_start=True)
        reload.refused()
        assert not reload.is_due(9, may_start=True)
        reload.want("c", 10)
        assert reload.is_due(10, may_start=True)
